//! `[senders.NAME.receipts]`: how a provider's callbacks about its messages are verified and read.

use super::{super::Table, Section};
use crate::{
    domain::delivery::callback::{CallbackFormat, Place, Scheme},
    format::{mac::SharedText, secret::SecretText},
    http::callbacks::{Receiver, Verifier},
};

/// The settings for the receipts of a sender.
pub(super) struct Receipts {
    /// How the provider signs its callbacks.
    pub(super) scheme: Scheme,
    /// User name and password for the URLs that the provider calls, if it authenticates itself with what they hold.
    pub(super) login: Option<SecretText>,
    /// Verifies and reads the callbacks.
    pub(super) receiver: Receiver,
}

impl Receipts {
    /// Reads the receipts of a provider that the operator describes by settings.
    pub(super) fn of_provider(section: &mut Section<'_>) -> Option<Self> {
        let mut table = receipts(section)?;
        // Without a scheme the other keys are not checked, so none of them is reported.
        let scheme = table.required_word("scheme", &Scheme::ALL)?;
        let format = format(&mut table);
        let body_kib_max = body_kib_max(&mut table);
        let receipts = Self::read(&mut table, scheme, (format, body_kib_max), None);
        table.finish();
        receipts
    }

    /// Reads the receipts of an operator's own service or process: in our format, signed by Standard Webhooks.
    pub(super) fn of_own_service(section: &mut Section<'_>) -> Option<Self> {
        let mut table = receipts(section)?;
        let scheme = Scheme::StandardWebhooks;
        let format = (CallbackFormat::of_ours(), BODY_KIB_USUAL);
        let receipts = Self::read(&mut table, scheme, format, None);
        table.finish();
        receipts
    }

    /// Reads the receipts of a preset. If the provider signs with the secret that we authenticate with (`secret`),
    /// the operator only needs to set the public URL.
    pub(super) fn of_preset(
        mut preset: Table<'_>,
        section: &mut Section<'_>,
        secret: Option<SecretText>,
    ) -> Option<Self> {
        let scheme = preset.required_word("scheme", &Scheme::ALL)?;
        let is_shared = preset.switch("secret_is_ours", false);
        let format = (format(&mut preset), body_kib_max(&mut preset));
        preset.finish();
        let secret = secret.filter(|_| is_shared);
        if let Some(mut table) = receipts(section) {
            let receipts = Self::read(&mut table, scheme, format, secret);
            table.finish();
            return receipts;
        }
        let (secret, _) = (secret?, section.public_url?);
        let verifier = Verifier::new(scheme, "", &[secret.expose()]).ok()?;
        Some(Self::new(scheme, verifier, format, None))
    }

    /// Reads what all schemes need: the secrets, which default to `shared`.
    fn read(
        table: &mut Table<'_>,
        scheme: Scheme,
        format: (CallbackFormat, usize),
        shared: Option<SecretText>,
    ) -> Option<Self> {
        let secrets = match shared {
            Some(shared) if !table.has("secret_files") => vec![shared],
            Some(_) | None => table.required_secrets("secret_files"),
        };
        let username = match scheme {
            Scheme::Basic => table.required("username")?,
            Scheme::Twilio
            | Scheme::Vonage
            | Scheme::Messagebird
            | Scheme::Meta
            | Scheme::StandardWebhooks => String::new(),
        };
        let in_url = match scheme {
            Scheme::Basic => table.switch("login_in_url", false),
            Scheme::Twilio
            | Scheme::Vonage
            | Scheme::Messagebird
            | Scheme::Meta
            | Scheme::StandardWebhooks => false,
        };
        let challenge = match scheme {
            Scheme::Meta => table.secret("verify_token_file"),
            Scheme::Twilio
            | Scheme::Vonage
            | Scheme::Messagebird
            | Scheme::Basic
            | Scheme::StandardWebhooks => None,
        };
        if secrets.is_empty() {
            return None;
        }
        let secrets: Vec<&str> = secrets.iter().map(SecretText::expose).collect();
        let login = if in_url {
            Some(login(table, &username, secrets[0])?)
        } else {
            None
        };
        match Verifier::new(scheme, &username, &secrets) {
            Ok(verifier) => Some(Self {
                login,
                ..Self::new(scheme, verifier, format, challenge.as_ref())
            }),
            Err(wrong) => {
                table.mistake("secret_files", wrong);
                None
            }
        }
    }

    fn new(
        scheme: Scheme,
        verifier: Verifier,
        (format, body_kib_max): (CallbackFormat, usize),
        challenge: Option<&SecretText>,
    ) -> Self {
        let receiver = Receiver {
            verifier,
            format,
            challenge: challenge.map(|token| SharedText::new(token.expose())),
            dialect: None,
            body_bytes_max: body_kib_max * 1024,
        };
        Self {
            scheme,
            login: None,
            receiver,
        }
    }
}

/// The operator's table; needs a URL under which providers call us.
fn receipts<'a>(section: &mut Section<'a>) -> Option<Table<'a>> {
    let table = section.row.table_if_any("receipts")?;
    if section.public_url.is_none() {
        table.mistake_here("needs http.public_url, the URL that the provider calls");
    }
    Some(table)
}

/// User name and password as they stand in a URL. Only characters that mean themselves there (RFC 3986 §2.3), because
/// some gateways do not decode them.
fn login(table: &Table<'_>, username: &str, password: &str) -> Option<SecretText> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    for (key, text) in [("username", username), ("secret_files", password)] {
        if !text.chars().all(is_plain) {
            let what = "must have only letters, digits and - . _ ~ with login_in_url";
            table.mistake(key, what);
            return None;
        }
    }
    Some(SecretText::new(format!("{username}:{password}")))
}

/// The largest body of a callback in KiB: of a provider that sends receipts one by one, and of one that sends batches.
const BODY_KIB_USUAL: usize = 64;
const BODY_KIB_MAX: u64 = 3 * 1024;

fn body_kib_max(table: &mut Table<'_>) -> usize {
    table.small("body_kib_max", 64, &(1..=BODY_KIB_MAX))
}

fn format(table: &mut Table<'_>) -> CallbackFormat {
    let places = [
        ("json", Place::Json),
        ("form", Place::Form),
        ("query", Place::Query),
    ];
    let ours = CallbackFormat::of_ours();
    CallbackFormat {
        place: table.word("body", &places, Place::Json),
        items: table.parsed_if_any("items", items),
        status: pointers(table, "status", ours.status),
        reference: pointers(table, "reference", ours.reference),
        error: pointers(table, "error", ours.error),
        sent: table.list("sent").unwrap_or(ours.sent),
        delivered: table.list("delivered").unwrap_or(ours.delivered),
        undelivered: table.list("undelivered").unwrap_or(ours.undelivered),
        ignored: table.list("ignored").unwrap_or(ours.ignored),
    }
}

fn items(text: &str) -> Result<String, &'static str> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err("must be a JSON pointer such as /results/*")
    }
}

fn pointers(table: &mut Table<'_>, key: &str, default: Vec<String>) -> Vec<String> {
    let pointers = table.list(key).unwrap_or(default);
    for wrong in pointers.iter().filter(|pointer| !pointer.starts_with('/')) {
        let what = "each must be a JSON pointer such as /data/status";
        table.mistake(key, format!("has {wrong:?}; {what}"));
    }
    pointers
}
