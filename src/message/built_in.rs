//! The built-in texts of every language: templates and vocabulary.

use super::{form::Form, part::Part};

/// The languages with built-in texts; each is the name of a folder of [`super`]'s templates.
pub(super) const LANGUAGES: [&str; 5] = ["nl", "de", "en", "es", "fr"];

/// The HTML e-mail of every language. Its words are in the language's file `email.words.txt`.
pub(super) const FRAME: &str = include_str!("templates/email.html");

macro_rules! of_language {
    ($tag:expr, $file:literal) => {
        match $tag {
            "nl" => include_str!(concat!("templates/nl/", $file)),
            "de" => include_str!(concat!("templates/de/", $file)),
            "es" => include_str!(concat!("templates/es/", $file)),
            "fr" => include_str!(concat!("templates/fr/", $file)),
            _ => include_str!(concat!("templates/en/", $file)),
        }
    };
}

/// The source of a built-in template; `None` for the HTML mail, which is made of the frame and the words of
/// the language.
pub(super) fn template(tag: &str, form: Form) -> Option<&'static str> {
    Some(match form {
        Form::EmailHtml => return None,
        Form::EmailSubject => of_language!(tag, "email.subject.txt"),
        Form::EmailText => of_language!(tag, "email.txt"),
        Form::Sms => of_language!(tag, "sms.txt"),
        Form::VoiceGreeting => of_language!(tag, "voice.greeting.txt"),
        Form::Voice => of_language!(tag, "voice.txt"),
        Form::Whatsapp => of_language!(tag, "whatsapp.txt"),
        Form::PushTitle => of_language!(tag, "push.title.txt"),
        Form::PushAlert => of_language!(tag, "push.alert.txt"),
        Form::Push => of_language!(tag, "push.txt"),
    })
}

/// A built-in file of named sentences.
pub(super) fn part(tag: &str, part: Part) -> &'static str {
    match part {
        Part::Words => of_language!(tag, "words.txt"),
        Part::MailWords => of_language!(tag, "email.words.txt"),
        Part::Explain => of_language!(tag, "explain.txt"),
        Part::Page => of_language!(tag, "page.txt"),
        Part::Titles => of_language!(tag, "titles.txt"),
        Part::Labels => of_language!(tag, "labels.txt"),
    }
}
