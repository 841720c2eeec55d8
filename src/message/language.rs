//! The languages that messages are written in.

use std::time::Duration;

/// A language with built-in texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    Nl,
    De,
    En,
    Es,
    Fr,
}

impl Language {
    pub(super) const ALL: [Self; 5] = [Self::Nl, Self::De, Self::En, Self::Es, Self::Fr];

    /// Its tag in locales, also the name of its folder of templates.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Nl => "nl",
            Self::De => "de",
            Self::En => "en",
            Self::Es => "es",
            Self::Fr => "fr",
        }
    }

    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// Its tag for speech synthesis, with a country.
    pub(super) const fn voice_tag(self) -> &'static str {
        match self {
            Self::Nl => "nl-NL",
            Self::De => "de-DE",
            Self::En => "en-GB",
            Self::Es => "es-ES",
            Self::Fr => "fr-FR",
        }
    }

    /// The warning that every text must have. It has no form of address, so it suits formal and
    /// informal texts. It speaks of staff, because genuine pages, apps and telephone menus do
    /// ask for the code.
    pub(super) const fn never_share(self) -> &'static str {
        match self {
            Self::Nl => {
                "Deel deze code nooit, ook niet met onze medewerkers: zij vragen er nooit om."
            }
            Self::De => {
                "Diesen Code niemals weitergeben, auch nicht an unsere Mitarbeiter, denn die fragen nie danach."
            }
            Self::En => "Never share this code, not even with our staff: they never ask for it.",
            Self::Es => {
                "No comparta nunca este código, tampoco con nuestro personal: nunca lo pide."
            }
            Self::Fr => {
                "Ne partagez jamais ce code, même avec nos employés : ils ne le demandent jamais."
            }
        }
    }

    /// The same warning for an SMS: short, and only in characters of the GSM alphabet.
    pub(super) const fn never_share_in_sms(self) -> &'static str {
        match self {
            Self::Nl => "Deel deze code nooit.",
            Self::De => "Diesen Code niemals weitergeben.",
            Self::En => "Never share this code.",
            Self::Es => "No comparta nunca esta clave.",
            Self::Fr => "Ne partagez jamais ce code.",
        }
    }

    /// What a call says instead of a code that is no longer valid.
    pub(super) const fn code_gone(self) -> &'static str {
        match self {
            Self::Nl => "Deze code is niet meer geldig.",
            Self::De => "Dieser Code ist nicht mehr gültig.",
            Self::En => "This code is no longer valid.",
            Self::Es => "Este código ya no es válido.",
            Self::Fr => "Ce code n'est plus valable.",
        }
    }

    /// A span in words, rounded up: `30 seconds`, `2 minutes`.
    pub(super) fn span(self, span: Duration) -> String {
        let seconds = span.as_millis().div_ceil(1000);
        if seconds >= 60 {
            let minutes = u64::try_from(seconds.div_ceil(60)).unwrap_or(u64::MAX);
            return self.minutes(minutes);
        }
        let unit = match (self, seconds) {
            (Self::Nl | Self::Fr, 1) => "seconde",
            (Self::Nl, _) => "seconden",
            (Self::De, 1) => "Sekunde",
            (Self::De, _) => "Sekunden",
            (Self::En, 1) => "second",
            (Self::En, _) => "seconds",
            (Self::Es, 1) => "segundo",
            (Self::Es, _) => "segundos",
            (Self::Fr, _) => "secondes",
        };
        format!("{seconds} {unit}")
    }

    /// A number of minutes in words: `1 minute`, `5 minutes`.
    pub(super) fn minutes(self, minutes: u64) -> String {
        let unit = match (self, minutes) {
            (Self::Nl, 1) => "minuut",
            (Self::Nl, _) => "minuten",
            (Self::De, 1) => "Minute",
            (Self::De, _) => "Minuten",
            (Self::En | Self::Fr, 1) => "minute",
            (Self::En | Self::Fr, _) => "minutes",
            (Self::Es, 1) => "minuto",
            (Self::Es, _) => "minutos",
        };
        format!("{minutes} {unit}")
    }
}
