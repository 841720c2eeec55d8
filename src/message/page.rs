//! The page that a link in an e-mail opens: its texts, and what it says is confirmed.

use std::sync::Arc;

use super::{Messages, language::Language, part::Part, vocabulary::Vocabulary};
use crate::domain::{
    ids::{ActionName, Locale, TenantId},
    verification::binding::Binding,
};

/// The reader of a page, as far as known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader<'a> {
    /// The tenant; `None` while no verification is known.
    pub tenant: Option<&'a TenantId>,
    /// The customer's language, as the start named it; it comes before the browser's.
    pub locale: Option<&'a Locale>,
    /// The header `Accept-Language` of the browser; may be empty.
    pub accepted: &'a str,
}

/// A sentence of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageSentence {
    /// The heading while the page looks up what is confirmed.
    Wait,
    /// The text below that heading.
    WaitMore,
    /// The heading above the button.
    Ask,
    /// When to press the button.
    AskMore,
    /// The words before the title of the action.
    What,
    /// The label of the button.
    Button,
    /// For browsers without scripts, and for a URL without its secret.
    Incomplete,
    /// The heading after an approval.
    Approved,
    /// The text below that heading.
    ApprovedMore,
    /// The heading in a browser other than the one that asked.
    OtherBrowser,
    /// The text below that heading.
    OtherBrowserMore,
    /// The heading after a form that another page sent.
    Elsewhere,
    /// The text below that heading.
    ElsewhereMore,
    /// The heading for a closed verification and for an unknown link.
    Over,
    /// The text below that heading.
    OverMore,
    /// The heading when a limit is reached or the service is unavailable.
    Later,
    /// The text below that heading.
    LaterMore,
}

impl PageSentence {
    /// Its name in the file `page.txt`.
    const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::WaitMore => "wait_more",
            Self::Ask => "ask",
            Self::AskMore => "ask_more",
            Self::What => "what",
            Self::Button => "button",
            Self::Incomplete => "incomplete",
            Self::Approved => "approved",
            Self::ApprovedMore => "approved_more",
            Self::OtherBrowser => "other_browser",
            Self::OtherBrowserMore => "other_browser_more",
            Self::Elsewhere => "elsewhere",
            Self::ElsewhereMore => "elsewhere_more",
            Self::Over => "over",
            Self::OverMore => "over_more",
            Self::Later => "later",
            Self::LaterMore => "later_more",
        }
    }
}

/// The texts of the page for one reader.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    language: &'a Language,
    vocabulary: &'a Vocabulary,
    brand: &'a str,
}

/// What a press of the button confirms, in the reader's language. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    /// The title of the action.
    pub title: String,
    /// The label and the value of each bound name.
    pub details: Vec<(String, String)>,
}

impl std::fmt::Debug for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Summary(hidden)")
    }
}

impl Messages {
    /// The texts of the page in the reader's language, under the brand of the tenant.
    #[must_use]
    pub fn page(&self, reader: Reader<'_>) -> Page<'_> {
        let of_customer = reader.locale.and_then(|locale| self.languages.best(locale));
        let language = of_customer
            .or_else(|| self.languages.accepted(reader.accepted))
            .unwrap_or_else(|| self.default_language(reader.tenant));
        let brand = reader
            .tenant
            .map_or(&self.branding, |tenant| self.branding(tenant));
        Page {
            language,
            vocabulary: self.vocabulary(language),
            brand: &brand.brand,
        }
    }
}

impl Page<'_> {
    /// The tag of its language.
    #[must_use]
    pub fn language(&self) -> &Arc<str> {
        self.language.tag()
    }

    /// Whether its language is written from right to left.
    #[must_use]
    pub fn is_right_to_left(&self) -> bool {
        self.vocabulary.is_right_to_left()
    }

    /// The name under which the customer knows the organisation.
    #[must_use]
    pub fn brand(&self) -> &str {
        self.brand
    }

    /// One of its sentences.
    #[must_use]
    pub fn say(&self, sentence: PageSentence) -> &str {
        self.vocabulary.say(Part::Page, sentence.name())
    }

    /// What a press of the button confirms: the title of the action, and the bound values with their labels.
    #[must_use]
    pub fn summary(&self, action: &ActionName, binding: &Binding) -> Summary {
        Summary {
            title: self.vocabulary.title_of(action).to_owned(),
            details: self.vocabulary.details(binding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{built_in, sentences};

    #[test]
    fn every_sentence_of_the_file_has_its_place_on_the_page() {
        let all = [
            PageSentence::Wait,
            PageSentence::WaitMore,
            PageSentence::Ask,
            PageSentence::AskMore,
            PageSentence::What,
            PageSentence::Button,
            PageSentence::Incomplete,
            PageSentence::Approved,
            PageSentence::ApprovedMore,
            PageSentence::OtherBrowser,
            PageSentence::OtherBrowserMore,
            PageSentence::Elsewhere,
            PageSentence::ElsewhereMore,
            PageSentence::Over,
            PageSentence::OverMore,
            PageSentence::Later,
            PageSentence::LaterMore,
        ];
        let file = sentences::parse(built_in::part("en", Part::Page)).unwrap();
        let names: Vec<_> = file.into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(names, all.map(PageSentence::name));
    }
}
