//! The files of named sentences of a language.

/// A file of named sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// Words that the code puts into templates.
    Words,
    /// The words of the frame of HTML mails.
    MailWords,
    /// The state of a verification, for the customer.
    Explain,
    /// The page that a link opens.
    Page,
    /// What an action is called.
    Titles,
    /// What a bound name is called.
    Labels,
}

impl Part {
    pub(super) const ALL: [Self; 6] = [
        Self::Words,
        Self::MailWords,
        Self::Explain,
        Self::Page,
        Self::Titles,
        Self::Labels,
    ];

    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::Words => "words.txt",
            Self::MailWords => "email.words.txt",
            Self::Explain => "explain.txt",
            Self::Page => "page.txt",
            Self::Titles => "titles.txt",
            Self::Labels => "labels.txt",
        }
    }

    /// Whether an SMS has words of it.
    pub(super) const fn is_in_sms(self) -> bool {
        match self {
            Self::Words | Self::Titles => true,
            Self::MailWords | Self::Explain | Self::Page | Self::Labels => false,
        }
    }

    /// Whether its names are those of the English file. Titles and labels have the names that operators choose.
    pub(super) const fn is_fixed(self) -> bool {
        match self {
            Self::Words | Self::MailWords | Self::Explain | Self::Page => true,
            Self::Titles | Self::Labels => false,
        }
    }
}
