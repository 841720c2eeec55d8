//! Mail as it arrives at an SMTP server, and the effects of the server's replies.

use super::{
    super::doubles::{samples, sink::Sink},
    *,
};
use crate::{
    domain::{delivery::blame::Stage, recipient::Recipient, time::Timestamp},
    system::ManualClock,
};

type Change = fn(&mut SmtpSettings);
type Answers = &'static [(&'static str, &'static str)];

fn settings(port: u16) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        from: "Voorbeeld Bank <no-reply@bank.example>".to_owned(),
        tls: SmtpTls::None,
        credentials: None,
        ca_file: None,
        timeout: Duration::from_secs(10),
        pool_max: 2,
        hello_name: Some("service.example".to_owned()),
        dkim: None,
    }
}

fn smtp(settings: &SmtpSettings) -> Result<Smtp, SettingError> {
    Smtp::new(
        settings,
        Arc::new(ManualClock::new(Timestamp::from_micros(
            1_800_000_000_000_000,
        ))),
    )
}

fn credentials() -> (String, SecretText) {
    ("user".to_owned(), SecretText::new("s3cret-word".to_owned()))
}

fn header<'a>(mail: &'a str, name: &str) -> Vec<&'a str> {
    let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
    let values = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .filter(|(found, _)| found.eq_ignore_ascii_case(name));
    values.map(|(_, value)| value).collect()
}

async fn outcome(answers: Answers) -> Result<Sent, SendError> {
    let sink = Sink::start(answers).await;
    smtp(&settings(sink.port))
        .unwrap()
        .send(&samples::message())
        .await
}

/// What the start accepts, a mail server must be told.
#[test]
fn mail_06_every_accepted_address_can_be_written_in_the_envelope() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/email_addresses.json")).unwrap();
    let accepted = cases["accept"].as_array().unwrap().iter();
    let accepted = accepted.map(|address| address.as_str().unwrap());
    for address in accepted.chain(["!#$%&'*/=?^`{|}~@example.org", "a@b\u{fc}cher.example"]) {
        let recipient = Recipient::parse(Channel::Email, address).unwrap();
        let parsed = recipient.expose().parse::<lettre::Address>();
        assert_eq!(parsed.unwrap().to_string(), recipient.expose(), "{address}");
    }
}

#[tokio::test]
async fn mail_01_a_mail_says_that_a_machine_wrote_it() {
    let sink = Sink::start(&[]).await;
    let smtp = smtp(&settings(sink.port)).unwrap();
    smtp.send(&samples::message()).await.unwrap();
    smtp.send(&samples::message()).await.unwrap();

    let record = sink.record();
    assert_eq!(record.commands("EHLO"), ["EHLO service.example"]);
    assert_eq!(
        record.commands("MAIL"),
        ["MAIL FROM:<no-reply@bank.example>"; 2]
    );
    assert_eq!(record.commands("RCPT"), ["RCPT TO:<anna@example.org>"; 2]);
    assert_eq!(record.connections, 1, "the connection is kept");
    let mail = &record.mails[0];
    assert_eq!(header(mail, "Auto-Submitted"), ["auto-generated"]);
    assert_eq!(header(mail, "Content-Language"), ["de"]);
    assert_eq!(
        header(mail, "From"),
        ["\"Voorbeeld Bank\" <no-reply@bank.example>"]
    );
    assert_eq!(header(mail, "To"), ["anna@example.org"]);
    assert_eq!(header(mail, "Date"), ["Fri, 15 Jan 2027 08:00:00 +0000"]);
    assert_eq!(header(mail, "List-Unsubscribe"), [""; 0]);
    assert!(header(mail, "Subject")[0].contains("=?utf-8?"), "{mail}");
    assert!(header(mail, "Content-Type")[0].starts_with("multipart/alternative"));
    assert!(
        mail.find("text/plain").unwrap() < mail.find("text/html").unwrap(),
        "text first"
    );
    let id = format!("<{}@bank.example>", samples::message().delivery);
    assert_eq!(header(mail, "Message-ID"), [id.as_str()]);
    assert_eq!(
        header(&record.mails[1], "Message-ID"),
        [id.as_str()],
        "the same for every try"
    );
}

#[tokio::test]
async fn mail_02_no_value_breaks_a_header_or_the_message() {
    for hostile in [
        "\r\nBcc: eve@example.org",
        "\nBcc: eve@example.org",
        "\rBcc: eve@example.org\r",
        "\r\n.\r\nMAIL FROM:<eve@example.org>\r\nRCPT TO:<eve@example.org>\r\nDATA\r\n",
        "\n.\nMAIL FROM:<eve@example.org>\nRCPT TO:<eve@example.org>\n",
        "\r.\rMAIL FROM:<eve@example.org>\r",
        "\r\n\r\n--boundary\r\n\u{0}",
    ] {
        let sink = Sink::start(&[]).await;
        let smtp = smtp(&settings(sink.port)).unwrap();
        let mut message = samples::message();
        Arc::make_mut(&mut message.content).subject = format!("Code{hostile}");
        Arc::make_mut(&mut message.content).text = format!("Code 123 456{hostile}");
        Arc::make_mut(&mut message.content).html = Some(format!("<p>123 456</p>{hostile}"));
        smtp.send(&message).await.unwrap();

        let record = sink.record();
        assert_eq!(record.mails.len(), 1, "{hostile:?}");
        assert_eq!(
            record.commands("MAIL"),
            ["MAIL FROM:<no-reply@bank.example>"],
            "{hostile:?}"
        );
        assert_eq!(
            record.commands("RCPT"),
            ["RCPT TO:<anna@example.org>"],
            "{hostile:?}"
        );
        let mail = &record.mails[0];
        assert_eq!(header(mail, "Bcc"), [""; 0], "{hostile:?}");
        assert_eq!(header(mail, "Subject").len(), 1, "{hostile:?}");
        assert!(
            !mail.replace("\r\n", "").contains(['\r', '\n', '\0']),
            "no line ends but by CR LF: {hostile:?}"
        );
    }
}

#[test]
fn mail_02_no_setting_breaks_a_header_or_a_command() {
    let refused = |change: fn(&mut SmtpSettings)| {
        let mut settings = settings(25);
        change(&mut settings);
        smtp(&settings).is_err()
    };
    assert!(refused(
        |s| s.from = "Bank\r\nBcc: eve@example.org <a@bank.example>".to_owned()
    ));
    assert!(refused(
        |s| s.from = "a@bank.example>\r\nRCPT TO:<eve@example.org".to_owned()
    ));
    assert!(refused(
        |s| s.hello_name = Some("a\r\nMAIL FROM:<eve@example.org>".to_owned())
    ));
}

#[tokio::test]
async fn send_15_a_busy_server_is_tried_again_and_says_nothing_of_other_recipients() {
    let busy = Err(deferred(Reason::Busy).at(Stage::BeforeRecipient));
    assert_eq!(outcome(&[("HELLO", "421 busy")]).await, busy);
    assert_eq!(outcome(&[("MAIL", "451 later")]).await, busy);
    for (answers, stage) in [
        (
            &[("RCPT", "450 4.2.0 greylisted anna@example.org")] as Answers,
            Stage::Alone,
        ),
        (&[("RCPT", "450 mailbox busy")], Stage::Alone),
        (
            &[("RCPT", "451 4.7.1 try again later")],
            Stage::WithRecipient,
        ),
        (&[("RCPT", "450 4.7.1 too fast")], Stage::WithRecipient),
        (&[("DATA", "452 full")], Stage::WithRecipient),
        (&[("MESSAGE", "452 full")], Stage::WithRecipient),
    ] {
        let later = Err(deferred(Reason::Busy).at(stage));
        assert_eq!(outcome(answers).await, later, "{answers:?}");
    }
}

#[tokio::test]
async fn a_server_that_breaks_off_is_tried_again() {
    assert_eq!(
        outcome(&[("MAIL", "CLOSE")]).await,
        Err(retry(Reason::Unreachable))
    );
    assert_eq!(
        outcome(&[("RCPT", "CLOSE")]).await,
        Err(retry(Reason::Unreachable).at(Stage::WithRecipient))
    );
    assert_eq!(
        outcome(&[("RCPT", "what?")]).await,
        Err(retry(Reason::Unreachable).at(Stage::WithRecipient))
    );
    assert_eq!(
        outcome(&[("MESSAGE", "CLOSE")]).await,
        Err(unknown(Reason::ConnectionLost).at(Stage::WithRecipient)),
        "it may have been taken"
    );
    assert_eq!(
        outcome(&[("DATA", "CLOSE")]).await,
        Err(retry(Reason::Unreachable).at(Stage::WithRecipient)),
        "no mail was sent"
    );
}

#[tokio::test]
async fn send_16_a_refused_recipient_is_given_up_and_a_refused_sender_is_not() {
    let given_up = Err(SendError::about_recipient(Reason::Refused));
    assert_eq!(
        outcome(&[("RCPT", "550 5.1.1 no such user anna@example.org")]).await,
        given_up
    );
    assert_eq!(
        outcome(&[("MESSAGE", "552 5.2.2 mailbox full")]).await,
        given_up
    );
    let ours = Err(ours(Reason::SenderRefused));
    let always = Err(SendError::ours(Reason::SenderRefused).at(Stage::BeforeRecipient));
    assert_eq!(outcome(&[("HELLO", "554 go away")]).await, always);
    assert_eq!(outcome(&[("EHLO", "504 5.5.2 need a name")]).await, always);
    assert_eq!(outcome(&[("MAIL", "550 not from you")]).await, always);
    assert_eq!(
        outcome(&[("RCPT", "554 5.7.1 relay access denied")]).await,
        ours
    );
    assert_eq!(
        outcome(&[("RCPT", "530 log in first")]).await,
        Err(login_refused().at(Stage::WithRecipient))
    );
    let unclear = Err(SendError::unclear(Reason::Refused));
    assert_eq!(outcome(&[("RCPT", "550 unknown")]).await, unclear);
    assert_eq!(
        outcome(&[("MESSAGE", "554 5.7.1 looks like spam")]).await,
        unclear
    );
    assert_eq!(
        outcome(&[(
            "RCPT",
            "550-Verification failed\r\n550-No such user\r\n550 Sender verify failed"
        )])
        .await,
        ours,
        "all lines are read"
    );
}

#[tokio::test]
async fn a_refused_login_goes_to_the_next_sender_and_tells_no_password() {
    let sink = Sink::start(&[("AUTH", "535 5.7.8 no")]).await;
    let settings = SmtpSettings {
        credentials: Some(credentials()),
        ..settings(sink.port)
    };
    assert!(!format!("{settings:?}").contains("s3cret"));
    let smtp = smtp(&settings).unwrap();
    assert!(!format!("{smtp:?}").contains("s3cret"));
    assert_eq!(smtp.send(&samples::message()).await, Err(login_refused()));
    assert!(sink.record().mails.is_empty());
}

#[tokio::test]
async fn a_login_comes_before_the_mail() {
    let sink = Sink::start(&[]).await;
    let settings = SmtpSettings {
        credentials: Some(credentials()),
        ..settings(sink.port)
    };
    smtp(&settings)
        .unwrap()
        .send(&samples::message())
        .await
        .unwrap();
    // base64 of NUL user NUL s3cret-word
    assert_eq!(
        sink.record().commands[1],
        "AUTH PLAIN AHVzZXIAczNjcmV0LXdvcmQ="
    );
    assert_eq!(sink.record().mails.len(), 1);
}

#[tokio::test]
async fn chan_08_without_the_demanded_tls_nothing_is_sent() {
    let never = || next_sender(Reason::TlsFailed);
    let cases: [(SmtpTls, Answers, SendError); 4] = [
        // Does not offer STARTTLS.
        (SmtpTls::StartTls, &[], never()),
        // Offers STARTTLS and then does something else.
        (
            SmtpTls::StartTls,
            &[("EHLO", "250-sink\r\n250 STARTTLS"), ("STARTTLS", "CLOSE")],
            never(),
        ),
        (
            SmtpTls::StartTls,
            &[
                ("EHLO", "250-sink\r\n250 STARTTLS"),
                ("STARTTLS", "454 not today"),
            ],
            // It says itself that it may encrypt later.
            retry(Reason::TlsFailed),
        ),
        // Speaks plaintext at once.
        (SmtpTls::Implicit, &[], never()),
    ];
    for (tls, answers, expected) in cases {
        let sink = Sink::start(answers).await;
        let settings = SmtpSettings {
            tls,
            credentials: Some(credentials()),
            ..settings(sink.port)
        };
        let outcome = smtp(&settings).unwrap().send(&samples::message()).await;
        let record = sink.record();
        assert_eq!(outcome, Err(expected), "{tls:?} {answers:?}");
        assert_eq!(
            record.commands("AUTH").len() + record.commands("MAIL").len(),
            0,
            "{tls:?} {answers:?}"
        );
    }
}

/// While slow servers of other recipients hold all connections, what waits says nothing of the server.
#[tokio::test]
async fn send_15_a_mail_that_waited_too_long_for_a_connection_counts_for_nothing() {
    let sink = Sink::start(&[("RCPT", "HANG")]).await;
    let short = SmtpSettings {
        timeout: Duration::from_millis(200),
        pool_max: 1,
        ..settings(sink.port)
    };
    let smtp = smtp(&short).unwrap();
    assert_eq!(smtp.slots(), Some(1));
    let message = samples::message();
    let (slow, waiting) = tokio::join!(smtp.send(&message), smtp.send(&message));
    assert_eq!(slow, Err(retry(Reason::Timeout).at(Stage::WithRecipient)));
    assert_eq!(waiting, Err(retry(Reason::Timeout).at(Stage::Alone)));
}

#[tokio::test]
async fn a_silent_or_absent_server_is_tried_again() {
    for (silence, expected) in [
        ("HELLO", retry(Reason::Timeout)),
        ("RCPT", retry(Reason::Timeout).at(Stage::WithRecipient)),
        ("MESSAGE", unknown(Reason::Timeout).at(Stage::WithRecipient)),
    ] {
        let sink = Sink::start(Vec::leak(vec![(silence, "HANG")])).await;
        let silent = SmtpSettings {
            timeout: Duration::from_millis(200),
            ..settings(sink.port)
        };
        assert_eq!(
            smtp(&silent).unwrap().send(&samples::message()).await,
            Err(expected),
            "{silence}: may it have been taken?"
        );
    }

    let absent = settings(closed_port().await);
    assert_eq!(
        smtp(&absent).unwrap().send(&samples::message()).await,
        Err(retry(Reason::Unreachable))
    );
}

async fn closed_port() -> u16 {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test]
async fn a_connection_that_died_while_kept_is_replaced() {
    let sink = Sink::start(&[("MESSAGE", "250 taken CLOSE")]).await;
    let smtp = smtp(&settings(sink.port)).unwrap();
    smtp.send(&samples::message()).await.unwrap();
    smtp.send(&samples::message()).await.unwrap();
    assert_eq!(sink.record().connections, 2);
    assert_eq!(sink.record().mails.len(), 2);
}

#[tokio::test]
async fn log_03_errors_hold_no_address_and_no_words_of_the_server() {
    let cases: [Answers; 2] = [
        &[("RCPT", "550 5.1.1 anna@example.org")],
        &[("RCPT", "451 anna@example.org")],
    ];
    for answers in cases {
        let error = outcome(answers).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("anna") && !shown.contains("example"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_message_for_another_channel_is_given_up() {
    use crate::domain::recipient::{Channel, Recipient};
    let mut message = samples::message();
    message.recipient = Recipient::parse(Channel::Sms, "+31612345678").unwrap();
    assert_eq!(
        smtp(&settings(25)).unwrap().send(&message).await,
        Err(ours(Reason::WrongChannel))
    );
}

#[test]
fn broken_settings_are_refused() {
    let refused = |change: fn(&mut SmtpSettings)| {
        let mut settings = SmtpSettings {
            tls: SmtpTls::StartTls,
            ..settings(25)
        };
        change(&mut settings);
        smtp(&settings).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(refused(|_| {}), Ok(()));
    let cases: [(&str, Change); 4] = [
        ("from is \"nobody\"; it must be", |s| {
            s.from = "nobody".to_owned();
        }),
        ("pool_max is 0", |s| s.pool_max = 0),
        ("ca_file /nonexistent/ca.pem cannot be read", |s| {
            s.ca_file = Some("/nonexistent/ca.pem".into());
        }),
        ("ca_file Cargo.toml holds no certificates", |s| {
            s.ca_file = Some("Cargo.toml".into());
        }),
    ];
    for (begin, change) in cases {
        let error = refused(change).unwrap_err();
        assert!(error.starts_with(begin), "{begin}: {error}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_the_server_says_goodbye_on_is_replaced() {
    let sink = Sink::start(&[("MESSAGE", "250 taken\r\n421 idle too long CLOSE")]).await;
    let smtp = smtp(&settings(sink.port)).unwrap();
    smtp.send(&samples::message()).await.unwrap();
    smtp.send(&samples::message()).await.unwrap();
    assert_eq!(
        (sink.record().connections, sink.record().mails.len()),
        (2, 2)
    );
}

/// The reply of a server that supports pipelining.
const PIPELINING: (&str, &str) = ("EHLO", "250-sink\r\n250 PIPELINING");

#[tokio::test]
async fn a_mail_is_asked_for_in_one_go_only_where_the_server_takes_that() {
    for (answers, asked) in [
        (
            &[
                ("MAIL", "HANG"),
                ("RCPT", "HANG"),
                ("DATA", "HANG"),
                PIPELINING,
            ] as Answers,
            vec!["MAIL", "RCPT", "DATA"],
        ),
        (&[("MAIL", "HANG"), ("EHLO", "250 sink")], vec!["MAIL"]),
    ] {
        let sink = Sink::start(answers).await;
        let silent = SmtpSettings {
            timeout: Duration::from_millis(200),
            ..settings(sink.port)
        };
        assert_eq!(
            smtp(&silent).unwrap().send(&samples::message()).await,
            Err(retry(Reason::Timeout))
        );
        let commands = sink.record().commands;
        let verbs: Vec<&str> = commands
            .iter()
            .skip(1)
            .map(|command| command.split(' ').next().unwrap())
            .collect();
        assert_eq!(verbs, asked);
    }
}

#[tokio::test]
async fn a_mail_that_was_asked_for_in_one_go_is_refused_at_its_step_and_never_handed_over() {
    assert_eq!(
        outcome(&[PIPELINING, ("RCPT", "550 5.1.1 unknown")]).await,
        Err(SendError::about_recipient(Reason::Refused))
    );
    assert_eq!(
        outcome(&[PIPELINING, ("MAIL", "550 not from you"), ("RCPT", "503 no")]).await,
        Err(ours(Reason::SenderRefused).at(Stage::BeforeRecipient))
    );
    assert_eq!(
        outcome(&[PIPELINING, ("DATA", "451 later")]).await,
        Err(deferred(Reason::Busy))
    );
    // The server asks for the mail although it refused the recipient (RFC 2920 §3.1).
    let sink = Sink::start(&[PIPELINING, ("RCPT", "450 greylisted")]).await;
    assert_eq!(
        smtp(&settings(sink.port))
            .unwrap()
            .send(&samples::message())
            .await,
        Err(deferred(Reason::Busy).at(Stage::Alone))
    );
    assert_eq!(sink.record().mails, [""; 0]);
}

#[tokio::test]
async fn a_login_in_two_steps_is_for_servers_that_know_no_other() {
    let sink = Sink::start(&[
        ("EHLO", "250-sink\r\n250 AUTH LOGIN"),
        ("AUTH", "334 VXNlcm5hbWU6"),
        ("dXNlcg==", "334 UGFzc3dvcmQ6"),
    ]);
    let sink = sink.await;
    let settings = SmtpSettings {
        credentials: Some(credentials()),
        ..settings(sink.port)
    };
    smtp(&settings)
        .unwrap()
        .send(&samples::message())
        .await
        .unwrap();
    assert_eq!(
        sink.record().commands[1..4],
        ["AUTH LOGIN", "dXNlcg==", "czNjcmV0LXdvcmQ="]
    );
}

#[tokio::test]
async fn every_mail_is_signed_that_a_key_is_there_for() {
    use aws_lc_rs::{encoding::AsDer as _, signature::Ed25519KeyPair};
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let key: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        Ed25519KeyPair::generate().unwrap().as_der().unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        BASE64_STANDARD.encode(key.as_ref())
    );
    let keys = vec![DkimKey {
        selector: "s1".to_owned(),
        pem: SecretText::new(pem),
    }];
    let dkim = Some(DkimSettings {
        domain: "bank.example".to_owned(),
        keys,
    });
    let sink = Sink::start(&[]).await;
    smtp(&SmtpSettings {
        dkim,
        ..settings(sink.port)
    })
    .unwrap()
    .send(&samples::message())
    .await
    .unwrap();
    let mail = &sink.record().mails[0];
    assert!(
        mail.starts_with(
            "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=bank.example; s=s1;\r\n"
        ),
        "{mail}"
    );
}
