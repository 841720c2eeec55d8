//! Text with place-holders for the values of a message, parsed once.

use std::collections::BTreeMap;

use super::super::transport::addresses::Addresses;
use crate::{
    domain::delivery::receipt::ReceiptToken,
    format::secret::SecretText,
    ports::sender::{Message, Speech},
};

/// A value that a template can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The canonical address, such as `+31612345678`.
    Address,
    /// The address without its plus, as some providers require.
    AddressDigits,
    /// The whole text, including the code; for push what a locked screen may show, without the code.
    Text,
    /// What an app shows once it is opened, including the code; empty except for push.
    OpenedText,
    /// The text of a call before a key is pressed; empty except for voice.
    Greeting,
    /// The text of a call after a key is pressed, as SSML; empty except for voice.
    Ssml,
    /// The subject line; empty except for e-mail and push.
    Subject,
    /// The code alone, for providers with texts of their own.
    Code,
    /// The idempotency id: the same for every attempt.
    Delivery,
    /// The language of the text, such as `nl`, or the provider's own name of it.
    Language,
    /// The name of the channel, such as `sms`.
    Channel,
    /// The language of the voice, such as `nl-NL`; empty except for voice.
    VoiceLanguage,
    /// The URL for receipts; empty if the provider makes no callbacks.
    Callback,
    /// The URL that gives the text of a call after a key press; empty if the provider
    /// cannot ask for it.
    Call,
}

impl Place {
    const ALL: [(&'static str, Self); 14] = [
        ("address", Self::Address),
        ("address_digits", Self::AddressDigits),
        ("text", Self::Text),
        ("opened_text", Self::OpenedText),
        ("greeting", Self::Greeting),
        ("ssml", Self::Ssml),
        ("subject", Self::Subject),
        ("code", Self::Code),
        ("delivery", Self::Delivery),
        ("language", Self::Language),
        ("channel", Self::Channel),
        ("voice_language", Self::VoiceLanguage),
        ("callback", Self::Callback),
        ("call", Self::Call),
    ];

    fn value(self, values: &Values<'_>) -> String {
        let message = values.message;
        let address = |of: fn(&Addresses, &ReceiptToken) -> String| {
            values
                .addresses
                .map(|addresses| of(addresses, &message.receipt))
                .unwrap_or_default()
        };
        match self {
            Self::Address => message.recipient.expose().to_owned(),
            Self::AddressDigits => message
                .recipient
                .expose()
                .trim_start_matches('+')
                .to_owned(),
            Self::Text => message.content.text.clone(),
            Self::OpenedText => message.content.opened.clone().unwrap_or_default(),
            Self::Greeting => speech(message, |speech| &speech.greeting),
            Self::Ssml => speech(message, |speech| &speech.ssml),
            Self::VoiceLanguage => speech(message, |speech| &speech.voice),
            Self::Subject => message.content.subject.clone(),
            Self::Code => message.code.expose().to_owned(),
            Self::Delivery => message.delivery.to_string(),
            Self::Language => {
                let tag: &str = &message.content.language;
                values
                    .languages
                    .get(tag)
                    .map_or(tag, String::as_str)
                    .to_owned()
            }
            Self::Channel => message.recipient.channel().as_str().to_owned(),
            Self::Callback => address(Addresses::callback),
            Self::Call => address(Addresses::call),
        }
    }

    /// Whether a template may use this name, so that nothing else can have it.
    pub(super) fn is_known(name: &str) -> bool {
        Self::ALL.iter().any(|(known, _)| *known == name)
    }

    /// Whether it contains the code, or may contain it.
    fn is_secret(self) -> bool {
        match self {
            Self::Text | Self::OpenedText | Self::Ssml | Self::Subject | Self::Code => true,
            Self::Address
            | Self::AddressDigits
            | Self::Greeting
            | Self::Delivery
            | Self::Language
            | Self::Channel
            | Self::VoiceLanguage
            | Self::Callback
            | Self::Call => false,
        }
    }
}

fn speech(message: &Message, part: fn(&Speech) -> &str) -> String {
    message
        .content
        .speech
        .as_ref()
        .map(part)
        .unwrap_or_default()
        .to_owned()
}

/// The values that are copied into templates.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) message: &'a Message,
    /// The URLs for the provider's callbacks; `None` if it makes none.
    pub(super) addresses: Option<&'a Addresses>,
    /// The provider's own names of languages.
    pub(super) languages: &'a BTreeMap<String, String>,
}

/// The values of the settings, which are the same in every message.
#[derive(Clone, Copy)]
pub(super) struct Fixed<'a> {
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) secrets: &'a BTreeMap<String, SecretText>,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Secret(SecretText),
    Place(Place),
}

/// A parsed template: fixed texts, secrets and place-holders in turn.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

impl Piece {
    fn named(name: &str, fixed: Fixed<'_>, escape: fn(&str) -> String) -> Option<Self> {
        if let Some(value) = fixed.parameters.get(name) {
            return Some(Self::Text(escape(value)));
        }
        if let Some(secret) = fixed.secrets.get(name) {
            return Some(Self::Secret(SecretText::new(escape(secret.expose()))));
        }
        let place = Place::ALL.iter().find(|(known, _)| *known == name);
        place.map(|(_, place)| Self::Place(*place))
    }
}

impl Template {
    /// Parses a template. The values of the settings are filled in here, `escape`d like all values.
    pub(super) fn parse(
        source: &str,
        fixed: Fixed<'_>,
        escape: fn(&str) -> String,
    ) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, behind) = after.split_once("}}").ok_or("has {{ without }}")?;
            let name = inside.trim();
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::named(name, fixed, escape).ok_or_else(|| unknown(name))?);
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Self(pieces))
    }

    /// Whether a template with this source may contain the code.
    pub(super) fn tells_code(source: &str) -> bool {
        let names = source
            .split("{{")
            .skip(1)
            .filter_map(|rest| rest.split_once("}}"));
        names.into_iter().any(|(name, _)| {
            let place = Place::ALL.iter().find(|(known, _)| *known == name.trim());
            place.is_some_and(|(_, place)| place.is_secret())
        })
    }

    /// Fills the values in, each `escape`d for its place.
    pub(super) fn render(&self, values: &Values<'_>, escape: fn(&str) -> String) -> String {
        self.fill(|place| escape(&place.value(values)), SecretText::expose)
    }

    /// The rendered text; `None` if the template has place-holders and the text is empty.
    pub(super) fn render_some(
        &self,
        values: &Values<'_>,
        escape: fn(&str) -> String,
    ) -> Option<String> {
        let text = self.render(values, escape);
        let is_fixed = self.0.iter().all(|piece| !matches!(piece, Piece::Place(_)));
        Some(text).filter(|text| is_fixed || !text.is_empty())
    }

    /// An example of the text, with the letter x in place of each value and secret.
    pub(super) fn sample(&self) -> String {
        self.fill(|_| "x".to_owned(), |_| "x")
    }

    /// The same with the secrets, to check them.
    pub(super) fn sample_with_secrets(&self) -> SecretText {
        SecretText::new(self.fill(|_| "x".to_owned(), SecretText::expose))
    }

    /// Whether it may contain the code.
    pub(super) fn is_secret(&self) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Place(place) if place.is_secret()))
    }

    /// Whether it contains a secret of the settings.
    pub(super) fn has_credentials(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Secret(_)))
    }

    /// Whether it contains this place-holder.
    pub(super) fn has(&self, place: Place) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Place(found) if *found == place))
    }

    /// The text before the first value.
    pub(super) fn fixed_begin(&self) -> String {
        let texts = self.0.iter().map_while(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Secret(_) | Piece::Place(_) => None,
        });
        texts.collect()
    }

    fn fill(
        &self,
        value: impl Fn(Place) -> String,
        secret: impl Fn(&SecretText) -> &str,
    ) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Secret(hidden) => text.push_str(secret(hidden)),
                Piece::Place(place) => text.push_str(&value(*place)),
            }
        }
        text
    }
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = Place::ALL.iter().map(|(name, _)| *name).collect();
    format!(
        "contains {{{{ {name} }}}}, which is not a place-holder; the place-holders are those of secrets, and {}",
        known.join(", ")
    )
}
