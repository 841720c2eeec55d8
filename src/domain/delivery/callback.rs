//! What a provider tells us afterwards: how it proves who it is, and how its words are read. Data of presets and settings.

/// How a provider signs its calls.
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
    /// The name of each in the settings.
    pub const ALL: [(&'static str, Self); 6] = [
        ("twilio", Self::Twilio),
        ("vonage", Self::Vonage),
        ("messagebird", Self::Messagebird),
        ("meta", Self::Meta),
        ("basic", Self::Basic),
        ("standard_webhooks", Self::StandardWebhooks),
    ];
}

/// Where a provider puts what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// JSON in the body.
    Json,
    /// The fields of a form in the body.
    Form,
    /// The fields of the URL; such a provider calls with GET.
    Query,
}

/// How receipts are read out of a call; words of none of the lists are no news. Form and query are read as one flat object. Of several pointers the first that
/// leads to a value counts; they begin at the item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Where the provider puts them.
    pub place: Place,
    /// JSON pointer of the items of a batch, `*` for each element of a list. `None`: the whole is one item.
    pub items: Option<String>,
    /// JSON pointers of the provider's word for how it stands.
    pub status: Vec<String>,
    /// JSON pointers of the provider's name for the message.
    pub reference: Vec<String>,
    /// JSON pointers of the code of what went wrong.
    pub error: Vec<String>,
    /// Words that mean: the provider has it and passes it on.
    pub sent: Vec<String>,
    /// Words that mean: the customer's device has it.
    pub delivered: Vec<String>,
    /// Words that mean: it will not come.
    pub undelivered: Vec<String>,
}

impl Reading {
    /// That of our own form, for webhooks and plug-ins: `{"data": {"status": "delivered"}}`.
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
        }
    }
}
