//! The built-in templates of every language and form.

use std::borrow::Cow;

use super::{form::Form, language::Language, sentences};

/// The HTML e-mail of every language. Its words are in the language's file `email.words.txt`.
const FRAME: &str = include_str!("templates/email.html");

macro_rules! text {
    ($folder:literal, $form:expr) => {
        match $form {
            Form::EmailSubject => {
                include_str!(concat!("templates/", $folder, "/email.subject.txt"))
            }
            Form::EmailText => include_str!(concat!("templates/", $folder, "/email.txt")),
            Form::EmailHtml => include_str!(concat!("templates/", $folder, "/email.words.txt")),
            Form::Sms => include_str!(concat!("templates/", $folder, "/sms.txt")),
            Form::VoiceGreeting => {
                include_str!(concat!("templates/", $folder, "/voice.greeting.txt"))
            }
            Form::Voice => include_str!(concat!("templates/", $folder, "/voice.txt")),
            Form::Whatsapp => include_str!(concat!("templates/", $folder, "/whatsapp.txt")),
            Form::PushTitle => include_str!(concat!("templates/", $folder, "/push.title.txt")),
            Form::PushAlert => include_str!(concat!("templates/", $folder, "/push.alert.txt")),
            Form::Push => include_str!(concat!("templates/", $folder, "/push.txt")),
        }
    };
}

/// The source of a built-in template, in the form of an operator's own file.
pub(super) fn source(language: Language, form: Form) -> Cow<'static, str> {
    let file = file(language, form);
    if form == Form::EmailHtml {
        Cow::Owned(framed(file))
    } else {
        Cow::Borrowed(file)
    }
}

const fn file(language: Language, form: Form) -> &'static str {
    match language {
        Language::Nl => text!("nl", form),
        Language::De => text!("de", form),
        Language::En => text!("en", form),
        Language::Es => text!("es", form),
        Language::Fr => text!("fr", form),
    }
}

/// The frame with the words of a language filled in. A missing word leaves its place-holder, which
/// the check at load refuses.
fn framed(words: &'static str) -> String {
    sentences::all(words).fold(FRAME.to_owned(), |mail, (name, word)| {
        mail.replace(&format!("{{{{ words.{name} }}}}"), word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_the_words_of_the_frame_and_no_others() {
        for language in Language::ALL {
            let words: Vec<_> = sentences::all(file(language, Form::EmailHtml)).collect();
            assert_eq!(words[0], ("language", language.tag()));
            for (name, _) in &words {
                let place = format!("{{{{ words.{name} }}}}");
                assert_eq!(FRAME.matches(&place).count(), 1, "{place}");
            }
            assert_eq!(FRAME.matches("{{ words.").count(), words.len());
        }
    }

    #[test]
    fn a_mail_that_lacks_a_word_is_refused() {
        let without = framed("language: nl\nasked: Gevraagd voor:");
        let flaws = Form::EmailHtml.parse(&without, false).unwrap_err();
        assert!(flaws[0].problem.starts_with("contains {{ words.valid }}"));
    }
}
