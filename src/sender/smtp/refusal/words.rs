//! The words of replies: what servers of all makes say about us, about the recipient, or about neither.

/// What the words of a reply say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server refuses us: our name, address, login, reputation or a limit of our account.
    Us,
    /// The recipient does not exist, or its mailbox takes no mail.
    Recipient,
    /// The server dislikes something of this mail, perhaps its content, so that its codes cannot be trusted.
    Doubt,
}

/// Phrases that are about us. Each row is one phrase, or several that must all occur. They come before those about the
/// recipient: `Sender verify failed` may follow `No such user here`.
const US: &[&[&str]] = &[
    // The name that EHLO gives, our address, and the DNS of both.
    &["helo"],
    &["ehlo"],
    &["client host"],
    &["host rejected"],
    &["reverse dns"],
    &["rdns"],
    &["ptr"],
    &["resource record"],
    &["name lookup failed"],
    &["cannot find your"],
    &["not find your hostname"],
    &["dynamic ip"],
    &["banned sending ip"],
    &["traffic not accepted from this ip"],
    &["ip", "not authorized to send"],
    &["ip", "not allowed to send"],
    &["your ip", "blocked"],
    &["your ip", "rejected"],
    &["your host", "blocked"],
    &["your mail server", "rejected"],
    &["your access to"],
    &["access from ip"],
    &["connections will not be accepted from"],
    &["sending mta"],
    &["frequency limited"],
    &["poor reputation"],
    &["reputation", "ip"],
    // Lists of bad senders.
    &["spamhaus"],
    &["spamcop"],
    &["barracuda reputation"],
    &["barracudacentral"],
    &["dnsbl"],
    &["dnsbls"],
    &["dnswl"],
    &["rbl"],
    &["dns rbl"],
    &["surbl"],
    &["sorbs"],
    &["uceprotect"],
    &["block list"],
    &["blocklist"],
    &["block listed"],
    &["blacklist"],
    &["black list"],
    &["black listed"],
    &["blackhole"],
    &["black hole"],
    &["is listed"],
    &["listed at"],
    &["listed in"],
    &["listed on"],
    &["listed by"],
    &["blocked using"],
    &["rejected using"],
    &["blocked", "ipcheck"],
    // The address in MAIL FROM and From.
    &["sender address"],
    &["sender rejected"],
    &["sender denied"],
    &["sender domain"],
    &["sender verify"],
    &["sender verification"],
    &["sender address verification"],
    &["sender callout"],
    &["sender not authori"],
    &["sender unauthori"],
    &["sender is not authori"],
    &["sender is not allowed"],
    &["sender has no"],
    &["sender identity"],
    &["sender signature"],
    &["sendasdenied"],
    &["send as"],
    &["sending domain"],
    &["bad outbound sender"],
    &["domain of sender"],
    &["from address"],
    &["from header"],
    &["header address"],
    &["mail from", "must"],
    &["envelope from"],
    &["not owned by"],
    &["unverified address", "sender"],
    &["not verified"],
    &["unconfigured sending domain"],
    &["invalid domain name"],
    &["unauthenticated sender"],
    &["anti spoofing"],
    &["spoof"],
    // Proof of origin.
    &["spf"],
    &["dkim"],
    &["dmarc"],
    &["unauthenticated email"],
    &["mail is unauthenticated"],
    // Relaying and logins.
    &["relay", "denied"],
    &["relay", "not permitted"],
    &["relay", "not allowed"],
    &["relay", "prohibited"],
    &["relay", "disallowed"],
    &["relay", "forbidden"],
    &["relay", "refused"],
    &["relay", "rejected for"],
    &["relay", "not authori"],
    &["relay", "invalid credentials"],
    &["relay", "unable to"],
    &["relay", "cannot"],
    &["relay", "do not"],
    &["relay", "dont"],
    &["not permitted to relay"],
    &["not allowed to relay"],
    &["no relaying"],
    &["rcpthosts"],
    &["not a gateway"],
    &["not local host"],
    &["authentication required"],
    &["authentication is required"],
    &["requires authentication"],
    &["require authentication"],
    &["proper authentication"],
    &["without smtp authentication"],
    &["not authenticated"],
    &["was not authenticated"],
    &["failed to authenticate"],
    &["must authenticate"],
    &["need to authenticate"],
    &["issue an auth"],
    &["issue a starttls"],
    &["log in first"],
    &["login first"],
    // The account at the provider, and its limits.
    &["sending limit"],
    &["sending quota"],
    &["sending rate"],
    &["sending suspended"],
    &["sending paused"],
    &["sending activity"],
    &["sending denied"],
    &["daily limit"],
    &["daily message"],
    &["daily quota"],
    &["daily user"],
    &["hourly limit"],
    &["hourly quota"],
    &["email quota"],
    &["message quota"],
    &["credits exceeded"],
    &["account suspended"],
    &["account is suspended"],
    &["account has been suspended"],
    &["account", "not allowed to send"],
    &["domain", "not allowed to send"],
    &["outboundspam"],
    &["outbound spam"],
    &["tenant has exceeded"],
    &["tenantattribution"],
    &["sandbox"],
];

/// Phrases that clearly say that the recipient does not exist, or takes no mail.
const RECIPIENT: &[&[&str]] = &[
    &["user unknown"],
    &["unknown user"],
    &["unknown recipient"],
    &["unknown mailbox"],
    &["unknown local part"],
    &["unknown address"],
    &["recipient unknown"],
    &["mailbox unknown"],
    &["address unknown"],
    &["recipient is unknown"],
    &["user is unknown"],
    &["no such user"],
    &["no such mailbox"],
    &["no such recipient"],
    &["no such address"],
    &["no such person"],
    &["no such account"],
    &["no such local user"],
    &["no mailbox"],
    &["no valid recipient"],
    &["not a valid mailbox"],
    &["not a valid recipient"],
    &["not a valid user"],
    &["not a known user"],
    &["not our customer"],
    &["not listed in"],
    &["unrouteable address"],
    &["unroutable address"],
    &["user not found"],
    &["mailbox not found"],
    &["recipient not found"],
    &["recipientnotfound"],
    &["recipnotfound"],
    &["address not found"],
    &["account not found"],
    &["user", "could not be found"],
    &["recipient", "could not be found"],
    &["user not known"],
    &["recipient not known"],
    &["user", "does not exist"],
    &["mailbox", "does not exist"],
    &["account", "does not exist"],
    &["recipient", "does not exist"],
    &["address does not exist"],
    &["user", "doesnt exist"],
    &["mailbox", "doesnt exist"],
    &["account", "doesnt exist"],
    &["recipient", "doesnt exist"],
    &["user doesnt have"],
    &["user does not have"],
    &["recipient domain", "not able to find"],
    &["find the recipient domain"],
    &["mailbox unavailable"],
    &["mailbox is unavailable"],
    &["mailbox currently unavailable"],
    &["mailbox not available"],
    &["mailbox disabled"],
    &["mailbox is disabled"],
    &["mailbox has been disabled"],
    &["mailbox is inactive"],
    &["mailbox inactive"],
    &["mailbox does not accept"],
    &["mailbox cannot be accessed"],
    &["mailbox is not accepting"],
    &["mailbox blocked"],
    &["mailbox closed"],
    &["account disabled"],
    &["account is disabled"],
    &["account has been disabled"],
    &["account is inactive"],
    &["account inactive"],
    &["account closed"],
    &["account that you tried to reach"],
    &["user is disabled"],
    &["user disabled"],
    &["user account disabled"],
    &["user is inactive"],
    &["recipient is disabled"],
    &["recipient disabled"],
    &["recipient is inactive"],
    &["archived recipient"],
    &["mailbox full"],
    &["mailbox is full"],
    &["mailbox", "full"],
    &["inbox is full"],
    &["mailbox size limit"],
    &["mailbox quota"],
    &["quota exceeded", "mailbox"],
    &["over quota"],
    &["overquota"],
    &["exceeded storage allocation"],
    &["quotaexceeded"],
    &["storage limit"],
    &["user quota"],
    &["receiving mail at a rate"],
    &["invalid recipient"],
    &["invalid mailbox"],
    &["invalid user"],
    &["bad recipient"],
    &["bad destination mailbox"],
    &["illegal user"],
    &["recipient verify failed"],
    &["recipient verification failed"],
    &["suppression list"],
    &["suppressed due to"],
    &["previously bounced"],
    &["no longer valid"],
    &["no longer available"],
    &["no longer exists"],
    &["no longer in use"],
    &["user not local"],
    &["null mx"],
    &["host unknown"],
];

/// Phrases of restrictions that the recipient set: they come before the others, whose words they contain.
const RESTRICTED: &[&[&str]] = &[
    &["resolver rst sendernot"],
    &["resolver rst notauthorized"],
    &["resolver rst authrequired"],
];

/// Words of filters: what else the reply says may be an excuse.
const DOUBT: &[&[&str]] = &[
    &["spam"],
    &["unsolicited"],
    &["junk"],
    &["virus"],
    &["malware"],
    &["phish"],
    &["policy"],
    &["policies"],
    &["reputation"],
    &["blocked"],
    &["content"],
    &["abuse"],
    &["security"],
    &["size"],
    &["too large"],
    &["too big"],
];

/// Phrases that name the recipient without saying what is wrong.
const NAMED: &[&[&str]] = &[
    &["recipient address rejected"],
    &["recipient rejected"],
    &["recipient refused"],
    &["recipient address refused"],
];

/// The words of a reply in lower case, each after one space, without addresses and punctuation. A space comes first,
/// so that a phrase is searched for with the space before it.
pub(super) struct Text(String);

impl Text {
    /// The text of all lines, which servers break anywhere. Addresses are left out, because whoever starts a
    /// verification chooses them.
    pub(super) fn of(lines: &[String]) -> Self {
        let mut text = String::new();
        for line in lines {
            let words = without_brackets(line);
            for word in words.split_whitespace().filter(|word| !word.contains('@')) {
                push_words(&mut text, word);
            }
        }
        Self(text)
    }

    /// What the text says; `None` if nothing that is known here.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        let kinds = [
            (RESTRICTED, Meaning::Recipient),
            (US, Meaning::Us),
            (RECIPIENT, Meaning::Recipient),
            (DOUBT, Meaning::Doubt),
        ];
        let said = kinds.into_iter().find(|(rows, _)| self.has_any(rows));
        match said {
            // `User not listed in the directory` is no list of bad senders.
            Some((_, Meaning::Us)) if self.has("not listed in") => Some(Meaning::Recipient),
            Some((_, meaning)) => Some(meaning),
            None => None,
        }
    }

    /// Whether the recipient is named without a reason.
    pub(super) fn names_recipient(&self) -> bool {
        self.has_any(NAMED)
    }

    /// Whether the server defers mail of everybody whom it does not know yet.
    pub(super) fn is_greylisting(&self) -> bool {
        ["greylist", "graylist", "grey list", "gray list"]
            .iter()
            .any(|word| self.has(word))
    }

    fn has_any(&self, rows: &[&[&str]]) -> bool {
        rows.iter()
            .any(|phrases| phrases.iter().all(|phrase| self.has(phrase)))
    }

    /// Whether a phrase occurs at the beginning of a word.
    fn has(&self, phrase: &str) -> bool {
        self.0
            .match_indices(phrase)
            .any(|(at, _)| self.0[..at].ends_with(' '))
    }
}

/// The line without what stands in angle brackets: the address that the refusal is about.
fn without_brackets(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        out.push(' ');
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// Appends the letters and digits of a word; punctuation separates words, and an apostrophe is left out.
fn push_words(text: &mut String, word: &str) {
    text.push(' ');
    for c in word.chars().filter(|c| !matches!(c, '\'' | '\u{2019}')) {
        if c.is_alphanumeric() {
            text.extend(c.to_lowercase());
        } else if !text.ends_with(' ') {
            text.push(' ');
        }
    }
    while text.ends_with(' ') {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[&str]) -> Text {
        Text::of(
            &lines
                .iter()
                .map(|&line| line.to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn words_are_found_over_line_ends_and_punctuation() {
        let found = text(&["5.1.1 <a@b.example>: The user-account", "  doesn't exist."]);
        assert_eq!(found.0, " 5 1 1 the user account doesnt exist");
        assert!(found.has("account doesnt") && !found.has("count doesnt"));
    }

    #[test]
    fn send_15_an_address_does_not_decide_what_the_reply_means() {
        for reply in [
            "no such user <helo-rejected@spamhaus.example>",
            "no such user: relay-denied@dnsbl.example",
            "no such user <\"sender verify failed\"@x.example",
        ] {
            assert_eq!(
                text(&[reply]).meaning(),
                Some(Meaning::Recipient),
                "{reply}"
            );
        }
    }
}
