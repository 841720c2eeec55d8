//! The languages that messages are written in.

/// A language with texts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Language {
    Nl,
    De,
    En,
}

impl Language {
    pub(super) const ALL: [Self; 3] = [Self::Nl, Self::De, Self::En];

    /// Its tag in locales, and the name of its folder of templates.
    pub(super) const fn tag(self) -> &'static str {
        match self {
            Self::Nl => "nl",
            Self::De => "de",
            Self::En => "en",
        }
    }

    pub(super) fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The sentence that every text must carry; it addresses nobody, so it suits formal and familiar texts.
    pub(super) const fn never_share(self) -> &'static str {
        match self {
            Self::Nl => "Deel deze code nooit, ook niet met ons: onze medewerkers vragen er nooit om.",
            Self::De => "Diesen Code niemals weitergeben, auch nicht an uns: Unsere Mitarbeiter fragen nie danach.",
            Self::En => "Never share this code, not even with us: our staff never asks for it.",
        }
    }

    /// A span in words: `1 minute`, `5 minutes`.
    pub(super) fn minutes(self, minutes: u64) -> String {
        let unit = match (self, minutes) {
            (Self::Nl, 1) => "minuut",
            (Self::Nl, _) => "minuten",
            (Self::De, 1) => "Minute",
            (Self::De, _) => "Minuten",
            (Self::En, 1) => "minute",
            (Self::En, _) => "minutes",
        };
        format!("{minutes} {unit}")
    }
}
