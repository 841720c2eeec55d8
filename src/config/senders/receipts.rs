//! `[senders.NAME.receipts]`: how a provider proves who it is when it tells us what became of a message, and how it is read.

use std::path::PathBuf;

use super::super::Table;
use crate::domain::delivery::callback::{Place, Reading, Scheme};

/// The receipts of a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// How its calls are signed.
    pub scheme: Scheme,
    /// The files of the secrets, each of which is good.
    pub secret_files: Vec<PathBuf>,
    /// The user name, for [`Scheme::Basic`].
    pub username: Option<String>,
    /// The file of the token that [`Scheme::Meta`] brings when it asks whether the address is ours.
    pub verify_token_file: Option<PathBuf>,
    /// How its calls are read.
    pub reading: Reading,
}

impl Receipts {
    /// Those of a provider that an operator describes.
    pub(super) fn of_operator(row: &mut Table<'_>, public: bool) -> Option<Self> {
        let mut section = section(row, public)?;
        let scheme = section.parsed("scheme", |text| {
            let found = Scheme::ALL.iter().find(|(name, _)| *name == text);
            found
                .map(|(_, scheme)| *scheme)
                .ok_or("must be one of twilio, vonage, messagebird, meta, basic, standard_webhooks")
        });
        // Without a scheme nothing is known of the other keys, so none of them is a mistake.
        let scheme = scheme?;
        let reading = reading(&mut section);
        let receipts = Self::with(&mut section, scheme, reading, None);
        section.finish();
        receipts
    }

    /// Those of a service or process of the operator's own: our form, and secrets of its own.
    pub(super) fn of_ours(row: &mut Table<'_>, public: bool) -> Option<Self> {
        let mut section = section(row, public)?;
        let receipts = Self::with(
            &mut section,
            Scheme::StandardWebhooks,
            Reading::of_ours(),
            None,
        );
        section.finish();
        receipts
    }

    /// Those of a preset. Where the provider signs with the secret by which it knows us (`secret`), nothing more need be
    /// set than the public address.
    pub(super) fn of_preset(
        mut preset: Table<'_>,
        row: &mut Table<'_>,
        public: bool,
        secret: Option<PathBuf>,
    ) -> Option<Self> {
        let scheme = preset.word("scheme", &Scheme::ALL, Scheme::StandardWebhooks);
        let is_shared = preset.switch("secret_is_ours", false);
        let reading = reading(&mut preset);
        preset.finish();
        let secret = secret.filter(|_| is_shared);
        match section(row, public) {
            Some(mut section) => {
                let receipts = Self::with(&mut section, scheme, reading, secret);
                section.finish();
                receipts
            }
            None => secret.filter(|_| public).map(|secret| Self {
                scheme,
                secret_files: vec![secret],
                username: None,
                verify_token_file: None,
                reading,
            }),
        }
    }

    fn with(
        section: &mut Table<'_>,
        scheme: Scheme,
        reading: Reading,
        secret: Option<PathBuf>,
    ) -> Option<Self> {
        let given = section
            .list("secret_files")
            .unwrap_or_default()
            .into_iter()
            .map(PathBuf::from);
        let secret_files: Vec<PathBuf> = given.collect();
        let secret_files = if secret_files.is_empty() {
            Vec::from_iter(secret)
        } else {
            secret_files
        };
        if secret_files.is_empty() {
            section.mistake("secret_files", "must name at least one file");
        }
        let username = match scheme {
            Scheme::Basic => Some(section.required("username")?),
            Scheme::Twilio
            | Scheme::Vonage
            | Scheme::Messagebird
            | Scheme::Meta
            | Scheme::StandardWebhooks => None,
        };
        let verify_token_file = match scheme {
            Scheme::Meta => section.text("verify_token_file").map(PathBuf::from),
            Scheme::Twilio
            | Scheme::Vonage
            | Scheme::Messagebird
            | Scheme::Basic
            | Scheme::StandardWebhooks => None,
        };
        Some(Self {
            scheme,
            secret_files,
            username,
            verify_token_file,
            reading,
        })
    }
}

/// The operator's section, which is of no use without an address under which providers reach us.
fn section<'a>(row: &mut Table<'a>, public: bool) -> Option<Table<'a>> {
    let section = row.table_if_any("receipts")?;
    if !public {
        section.mistake_here("needs http.public_url, the address that the provider calls");
    }
    Some(section)
}

fn reading(table: &mut Table<'_>) -> Reading {
    let places = [
        ("json", Place::Json),
        ("form", Place::Form),
        ("query", Place::Query),
    ];
    let ours = Reading::of_ours();
    let list = |table: &mut Table<'_>, key, default| table.list(key).unwrap_or(default);
    let reading = Reading {
        place: table.word("body", &places, Place::Json),
        items: table.text("items"),
        status: list(table, "status", ours.status),
        reference: list(table, "reference", ours.reference),
        error: list(table, "error", ours.error),
        sent: list(table, "sent", ours.sent),
        delivered: list(table, "delivered", ours.delivered),
        undelivered: list(table, "undelivered", ours.undelivered),
    };
    let pointers = [
        ("status", &reading.status),
        ("reference", &reading.reference),
        ("error", &reading.error),
    ];
    for (key, _) in pointers
        .iter()
        .filter(|(_, all)| all.iter().any(|pointer| !pointer.starts_with('/')))
    {
        table.mistake(key, "must be JSON pointers such as /data/status");
    }
    if reading
        .items
        .as_ref()
        .is_some_and(|items| !items.starts_with('/'))
    {
        table.mistake("items", "must be a JSON pointer such as /results/*");
    }
    reading
}
