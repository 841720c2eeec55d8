//! Callbacks of providers: how a provider authenticates itself, and where its receipts are in a
//! call. Presets and settings fill these types.

/// The scheme by which a provider signs its callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `X-Twilio-Signature`: HMAC-SHA-1 (or HMAC-SHA-256) over the URL and the sorted fields of the form.
    Twilio,
    /// A JWT (HS256) in `Authorization`, with the hash of the body, its time and its id.
    Vonage,
    /// A JWT (HS256) in `MessageBird-Signature-JWT`, with the hashes of URL and body, its times and its id.
    Messagebird,
    /// `X-Hub-Signature-256`: HMAC-SHA-256 over the body.
    Meta,
    /// User name and password, RFC 7617.
    Basic,
    /// `webhook-signature`: HMAC-SHA-256 over id, time and body.
    StandardWebhooks,
}

impl Scheme {
    /// All schemes, with their names in the settings.
    pub const ALL: [(&'static str, Self); 6] = [
        ("twilio", Self::Twilio),
        ("vonage", Self::Vonage),
        ("messagebird", Self::Messagebird),
        ("meta", Self::Meta),
        ("basic", Self::Basic),
        ("standard_webhooks", Self::StandardWebhooks),
    ];
}

/// The part of a call that holds the receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// JSON in the body.
    Json,
    /// The fields of a form in the body.
    Form,
    /// The query parameters of the URL; such a provider calls with GET.
    Query,
}

/// How receipts are read from a call. A form or query is read as one flat object. Where several
/// pointers are given, the first that leads to a value counts; they start at the item. The letter
/// case of status words does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackFormat {
    /// The part of the call that holds them.
    pub place: Place,
    /// JSON pointer to the items of a batch, with `*` for each element of a list. `None`: the
    /// call is one item.
    pub items: Option<String>,
    /// JSON pointers to the provider's word for the status.
    pub status: Vec<String>,
    /// JSON pointers to the provider's id of the message.
    pub reference: Vec<String>,
    /// JSON pointers to the provider's error code.
    pub error: Vec<String>,
    /// Status words for: the provider has sent it on.
    pub sent: Vec<String>,
    /// Status words for: it arrived at the customer's device.
    pub delivered: Vec<String>,
    /// Status words for: it will not arrive.
    pub undelivered: Vec<String>,
    /// Status words that tell nothing new, such as one for a message that waits. Any other word that is in none of the
    /// lists is counted as not understood.
    pub ignored: Vec<String>,
}

impl CallbackFormat {
    /// The reading of this service's own format, for webhooks and
    /// plug-ins: `{"data": {"status": "delivered"}}`.
    #[must_use]
    pub fn of_ours() -> Self {
        let one = |text: &str| vec![text.to_owned()];
        Self {
            place: Place::Json,
            items: None,
            status: one("/data/status"),
            reference: one("/data/reference"),
            error: one("/data/reason"),
            sent: one("sent"),
            delivered: one("delivered"),
            undelivered: one("undelivered"),
            ignored: Vec::new(),
        }
    }
}
