//! The channels that can carry a message.

/// The channel that carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Text message to a telephone number (SMS).
    Sms,
    /// E-mail to a mailbox.
    Email,
    /// Telephone call that speaks the code.
    Voice,
    /// WhatsApp message to a telephone number.
    Whatsapp,
    /// Push message to an app or a browser.
    Push,
}

/// How strong a method is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MethodLevel {
    /// A code or a link by e-mail: whoever has the mailbox, which is often open, can use it.
    Basic,
    /// A code to a telephone or an app.
    Standard,
}

impl Channel {
    /// All channels, in the order of their names.
    pub const ALL: [Self; 5] = [
        Self::Sms,
        Self::Email,
        Self::Voice,
        Self::Whatsapp,
        Self::Push,
    ];

    /// The name used in settings, logs and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Voice => "voice",
            Self::Whatsapp => "whatsapp",
            Self::Push => "push",
        }
    }

    /// The name of its value in the API.
    #[must_use]
    pub const fn api_name(self) -> &'static str {
        match self {
            Self::Sms => "CHANNEL_SMS",
            Self::Email => "CHANNEL_EMAIL",
            Self::Voice => "CHANNEL_VOICE",
            Self::Whatsapp => "CHANNEL_WHATSAPP",
            Self::Push => "CHANNEL_PUSH",
        }
    }

    /// Whether its addresses are telephone numbers.
    #[must_use]
    pub const fn reaches_numbers(self) -> bool {
        match self {
            Self::Sms | Self::Voice | Self::Whatsapp => true,
            Self::Email | Self::Push => false,
        }
    }

    /// The level of a code that travels on it.
    #[must_use]
    pub const fn level(self) -> MethodLevel {
        match self {
            Self::Email => MethodLevel::Basic,
            Self::Sms | Self::Voice | Self::Whatsapp | Self::Push => MethodLevel::Standard,
        }
    }

    /// The channel with that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == name)
    }
}
