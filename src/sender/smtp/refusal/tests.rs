//! Replies of mail servers of all makes, and whose fault each is.

use serde_json::Value;

use super::*;

fn reply(lines: &[&str]) -> ServerReply {
    let code = lines[0][..3].parse().unwrap();
    let texts = lines.iter().map(|line| line.get(4..).unwrap_or_default());
    ServerReply {
        code,
        lines: texts.map(str::to_owned).collect(),
    }
}

fn word(step: Step, lines: &[&str]) -> &'static str {
    judge(step, &reply(lines)).blame.as_str()
}

fn step(at: &str) -> Step {
    match at {
        "CONNECT" | "EHLO" | "TLS" | "STARTTLS" => Step::Connect,
        "AUTH" => Step::Login,
        "MAIL" => Step::From,
        "RCPT" => Step::Recipient,
        "DATA" => Step::Data,
        other => panic!("{other}"),
    }
}

#[test]
fn send_16_every_row_of_the_cases_is_judged_as_it_says() {
    let files = [
        (
            include_str!("../../../../tests/vectors/smtp_refusals.json"),
            32,
        ),
        (
            include_str!("../../../../tests/vectors/smtp_refusals_by_make.json"),
            420,
        ),
    ];
    let mut wrong = Vec::new();
    for (file, least) in files {
        let file: Value = serde_json::from_str(file).unwrap();
        let rows = file["cases"].as_array().unwrap();
        assert!(rows.len() >= least);
        for row in rows {
            let lines = row["reply"].as_array().unwrap();
            let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
            let error = judge(step(row["at"].as_str().unwrap()), &reply(&lines));
            let is_deferral = error.blame == Blame::Later && error.stage == Stage::Alone;
            let of_recipient = row["of_recipient"].as_bool();
            if error.blame.as_str() != row["blame"].as_str().unwrap()
                || of_recipient.is_some_and(|is| is != is_deferral)
            {
                wrong.push(format!("{} {:?}: {row}", error.blame, error.stage));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn send_16_what_refuses_us_never_gives_a_recipient_up() {
    for lines in [
        // Postfix.
        &["554 5.7.1 <a@b.example>: Relay access denied"][..],
        &["550 5.7.1 <vm>: Helo command rejected: Host not found"],
        &["554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied"],
        &["554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org"],
        &["553 5.7.1 <a@bank.example>: Sender address rejected: not owned by user x"],
        &[
            "550 5.7.23 <a@b.example>: Recipient address rejected: Message rejected due to: SPF fail - not authorized",
        ],
        &[
            "550 5.7.1 <a@b.example>: Recipient address rejected: Mail appeared to be SPAM or forged. Ask your Mail/DNS-Administrator to correct HELO and DNS MX settings or to get removed from DNSBLs",
        ],
        // Exim.
        &[
            "550-Verification failed for <a@bank.example>",
            "550-No Such User Here",
            "550 Sender verify failed",
        ],
        &["550 rejected because 192.0.2.7 is in a black list at dnsbl.example"],
        &["550 Sender has no A, AAAA, or MX DNS records."],
        // Exchange and Microsoft 365.
        &["550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"],
        &["550 5.7.64 TenantAttribution; Relay Access Denied"],
        &["550 5.7.60 SMTP; Client does not have permissions to send as this sender"],
        &["550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM"],
        &["550 5.7.511 Access denied, banned sender[192.0.2.7]."],
        &[
            "550 5.7.515 Access denied, sending domain bank.example doesn't meet the required authentication level.",
        ],
        &[
            "550 5.7.1 Unfortunately, messages from [192.0.2.7] weren't sent. Part of their network is on our block list (S3150).",
        ],
        &["550 5.1.8 Access denied, bad outbound sender"],
        // Gmail.
        &[
            "550-5.7.26 This mail has been blocked because the sender is unauthenticated.",
            "550 5.7.26 Gmail requires all senders to authenticate",
        ],
        &[
            "550-5.7.1 [192.0.2.7] The IP address sending this message does not have a PTR record",
            "550 5.7.1 setup",
        ],
        &["550 5.7.0 Mail relay denied [192.0.2.7]. Invalid credentials for relay"],
        &["550 5.7.1 Email quota exceeded."],
        // Sendmail and qmail.
        &["550 5.7.1 <a@b.example>... Relaying denied. IP name lookup failed [192.0.2.7]"],
        &["553 5.1.8 <a@bank.example>... Domain of sender address a@bank.example does not exist"],
        &["550 5.7.1 Fix reverse DNS for 192.0.2.7"],
        &["553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)"],
        // Providers of e-mail.
        &[
            "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@bank.example",
        ],
        &["550 5.7.1 Unconfigured Sending Domain <bank.example>"],
        &["550 Unauthenticated senders not allowed"],
        &["553 Relaying disallowed as a@bank.example"],
        &[
            "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.7, because the ip is in Spamhaus's list",
        ],
        &["551 5.7.1 Not authorised to send from this header address"],
        // Gateways.
        &["550 Service unavailable; Client host [192.0.2.7] blocked using Barracuda Reputation"],
        &["554 5.7.0 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.7"],
        &[
            "554 Your access to this mail system has been rejected due to the sending MTA's poor reputation.",
        ],
        &[
            "550-Requested action not taken: mailbox unavailable",
            "550 invalid DNS MX or A/AAAA resource record",
        ],
        // A server that wants what the settings do not give.
        &["530 5.7.1 Authentication required"],
        &["530 5.7.0 Must issue a STARTTLS command first"],
        &[
            "503 This mail server requires authentication when attempting to send to a non-local e-mail address.",
        ],
        &["550 5.1.2 Relay not allowed."],
    ] {
        for step in [Step::Recipient, Step::Data] {
            assert_eq!(word(step, lines), "ours", "{lines:?}");
        }
    }
}

#[test]
fn send_16_what_clearly_names_the_recipient_is_given_up() {
    for lines in [
        &[
            "550 5.1.1 <a@b.example>: Recipient address rejected: User unknown in local recipient table",
        ][..],
        &[
            "550 5.1.1 <a@b.example>: Recipient address rejected: User unknown in relay recipient table",
        ],
        &[
            "550 5.1.1 <a@b.example>: Recipient address rejected: undeliverable address: host mx.b.example[192.0.2.1] said: 550 no",
        ],
        &["554 5.7.1 <a@b.example>: Recipient address rejected: Mailbox is full / quota exceeded"],
        &["550 No such user here"],
        &["550 Unknown user"],
        &["550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"],
        &["550 5.4.1 Recipient address rejected: Access denied. AS(201806281)"],
        &["550 5.7.134 RESOLVER.RST.SenderNotAuthenticatedForMailbox; authentication required"],
        &["550 5.4.310 DNS domain nowhere.example does not exist"],
        &[
            "550-5.1.1 The email account that you tried to reach does not exist. Please try",
            "550-5.1.1 double-checking the recipient's email address for typos or",
            "550 5.1.1 unnecessary spaces.",
        ],
        &["550 5.2.1 The email account that you tried to reach is inactive."],
        &["552 5.2.2 The email account that you tried to reach is over quota."],
        &[
            "553 5.1.2 We weren't able to find the recipient domain. Please check for any spelling errors",
        ],
        &["550 5.1.2 <a@b.example>... Host unknown (Name server: b.example: host not found)"],
        &["550 sorry, no mailbox here by that name. (#5.1.1)"],
        &["522 sorry, recipient mailbox is overquota (#5.2.2 - chkuser)"],
        &[
            "554 30 Sorry, your message to a@b.example cannot be delivered. This mailbox is disabled (554.30).",
        ],
        &["550 5.5.0 Requested action not taken: mailbox unavailable"],
        &["550 #5.1.1 bad recipient"],
        &["550 Invalid Recipient - see the documentation"],
        &["550 [PH01] Not our customer"],
        &["550 5.5.0 Boite du destinataire archivee. Archived recipient. OFR_417"],
        &["550 5.7.1 No such user!"],
        &[
            "550 Message was not accepted -- invalid mailbox. Local mailbox a@b.example is unavailable: user not found",
        ],
        &["550 a@b.example... User not listed in Domino Directory"],
        &["550 5.1.1 <a@b.example> User doesn't exist: a@b.example"],
        &["550 5.1.1 Address does not exist."],
        &["552 5.2.2 <a@b.example> Quota exceeded (mailbox for user is full)"],
        &["551 User not local; please try <a@c.example>"],
        &["554 5.7.1 recipient address was suppressed due to customer policy"],
        &["550 5.1.1 USER UNKNOWN"],
        &["550 5.1.6 The user has moved"],
        &["550 5.1.1"],
    ] {
        for step in [Step::Recipient, Step::Data] {
            assert_eq!(word(step, lines), "recipient", "{lines:?}");
        }
    }
}

#[test]
fn send_16_what_may_be_about_anything_goes_to_the_next_sender() {
    for lines in [
        &["554 5.7.1 Message rejected: looks like spam"][..],
        &["554 5.7.0 Reject, id=12 - spam"],
        &["550 Administrative prohibition"],
        &[
            "552-5.7.0 This message was blocked because its content presents a potential",
            "552 5.7.0 security issue.",
        ],
        &["550 5.1.0 Address rejected."],
        &[
            "550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibited the mail",
        ],
        &["550 5.2.1 Refused by local policy. No SPAM please!"],
        &["500 5.3.0 Error: command failed"],
        &["554 5.0.0 Service unavailable"],
        &["554 Transaction failed"],
        &["550"],
        &["550 Access denied"],
        &["571 Message Refused"],
        &["554 5.4.6 Hop count exceeded - possible mail loop"],
        &["552 5.2.3 Message size exceeds the limit of the recipient"],
    ] {
        for step in [Step::Recipient, Step::Data] {
            assert_eq!(word(step, lines), "unclear", "{lines:?}");
        }
    }
}

#[test]
fn send_16_what_is_for_now_is_later_unless_it_is_clearly_about_us() {
    for (expected, lines) in [
        (
            "later",
            &["450 4.7.1 Error: too much mail from 192.0.2.7"][..],
        ),
        (
            "later",
            &["421 4.7.0 mx.example Error: too many connections"],
        ),
        (
            "later",
            &["452 4.2.2 The email account that you tried to reach is over quota."],
        ),
        (
            "later",
            &["450 4.1.1 <a@b.example>: Recipient address rejected: unverified address"],
        ),
        ("later", &["452 4.3.1 Insufficient system storage"]),
        ("later", &["451 Temporary local problem - please try later"]),
        (
            "later",
            &[
                "450 4.7.1 <a@b.example>: Recipient address rejected: Greylisted, your IP is not listed in our database",
            ],
        ),
        ("later", &["450 no such user for now"]),
        (
            "ours",
            &["450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.7]"],
        ),
        (
            "ours",
            &["450 4.1.8 <a@bank.example>: Sender address rejected: Domain not found"],
        ),
        ("ours", &["454 4.7.1 <a@b.example>: Relay access denied"]),
        (
            "ours",
            &["450 4.7.1 <vm>: Helo command rejected: Host not found"],
        ),
        (
            "ours",
            &[
                "421 Domain bank.example is not allowed to send: sandbox subdomains are for test purposes only.",
            ],
        ),
    ] {
        for step in [Step::Recipient, Step::Data] {
            let error = judge(step, &reply(lines));
            assert_eq!(error.blame.as_str(), expected, "{lines:?}");
            assert!(error.again.is_some(), "it is tried again: {lines:?}");
            assert_ne!(error.stage, Stage::BeforeRecipient);
        }
    }
}

#[test]
fn send_16_before_the_recipient_is_named_nothing_is_about_it() {
    for step in [Step::Connect, Step::From] {
        for lines in [
            &["550 5.1.1 no such user"][..],
            &["554 no"],
            &["550 5.7.1 access denied"],
        ] {
            let error = judge(step, &reply(lines));
            assert_eq!(
                error,
                SendError::ours(Reason::SenderRefused).at(Stage::BeforeRecipient)
            );
        }
        let busy = judge(step, &reply(&["421 4.3.2 too busy"]));
        assert_eq!(busy, deferred(Reason::Busy).at(Stage::BeforeRecipient));
    }
    for lines in [&["535 5.7.8 no"][..], &["534 5.7.9 too weak"], &["530 no"]] {
        assert_eq!(judge(Step::Login, &reply(lines)), login_refused());
    }
    assert_eq!(
        judge(Step::From, &reply(&["530 5.7.0 Authentication required"])),
        login_refused()
    );
    assert_eq!(
        judge(Step::Recipient, &reply(&["350 what"])),
        retry(Reason::Unreachable).at(Stage::WithRecipient)
    );
}
