//! The forms of a message. Each has one template file, and rules about what it must contain.

use super::template::{Flaw, Markup, Place, Template};
use crate::format::visible::is_meaningless;

/// One form of a message, and so one kind of template file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    EmailSubject,
    EmailText,
    EmailHtml,
    Sms,
    VoiceGreeting,
    Voice,
    Whatsapp,
    PushTitle,
    PushAlert,
    Push,
}

impl Form {
    pub(super) const ALL: [Self; 10] = [
        Self::EmailSubject,
        Self::EmailText,
        Self::EmailHtml,
        Self::Sms,
        Self::VoiceGreeting,
        Self::Voice,
        Self::Whatsapp,
        Self::PushTitle,
        Self::PushAlert,
        Self::Push,
    ];

    /// The name of its file. The file for one action begins with the action's name and a dot.
    pub(super) const fn file_name(self) -> &'static str {
        match self {
            Self::EmailSubject => "email.subject.txt",
            Self::EmailText => "email.txt",
            Self::EmailHtml => "email.html",
            Self::Sms => "sms.txt",
            Self::VoiceGreeting => "voice.greeting.txt",
            Self::Voice => "voice.txt",
            Self::Whatsapp => "whatsapp.txt",
            Self::PushTitle => "push.title.txt",
            Self::PushAlert => "push.alert.txt",
            Self::Push => "push.txt",
        }
    }

    pub(super) const fn markup(self) -> Markup {
        match self {
            Self::EmailHtml => Markup::Html,
            Self::EmailSubject
            | Self::EmailText
            | Self::Sms
            | Self::VoiceGreeting
            | Self::Voice
            | Self::Whatsapp
            | Self::PushTitle
            | Self::PushAlert
            | Self::Push => Markup::Plain,
        }
    }

    /// Parses a template of this form. It must have all required place-holders
    /// and no forbidden ones.
    ///
    /// A text for one action may name the action in its own words; a general
    /// text needs the place-holder.
    pub(super) fn parse(self, source: &str, for_one_action: bool) -> Result<Template, Vec<Flaw>> {
        let template = Template::parse(source)?;
        let mut flaws = links(source);
        flaws.extend(unseen(source));
        if template.has(Place::Link) && !matches!(self, Self::EmailText | Self::EmailHtml) {
            flaws.push(flaw("contains {{ link }}, which only a mail may"));
        }
        match self {
            Self::EmailSubject => flaws.extend(line_flaws(source, &template, "a subject")),
            Self::PushTitle => flaws.extend(line_flaws(source, &template, "a title")),
            Self::PushAlert => {
                flaws.extend(line_flaws(source, &template, "an alert"));
                if !for_one_action && !template.has(Place::Action) {
                    flaws.push(flaw("lacks {{ action }}"));
                }
            }
            Self::VoiceGreeting => flaws.extend(greeting_flaws(&template)),
            Self::Voice => {
                flaws.extend(text_flaws(&template, for_one_action));
                flaws.extend(spoken_flaws(&template));
            }
            Self::EmailText | Self::EmailHtml | Self::Sms | Self::Whatsapp | Self::Push => {
                flaws.extend(text_flaws(&template, for_one_action));
            }
        }
        if flaws.is_empty() {
            Ok(template)
        } else {
            Err(flaws)
        }
    }
}

/// Refuses links: customers who are used to links in genuine messages also follow links in forged
/// ones. An e-mail may have one, by its place-holder.
fn links(source: &str) -> Vec<Flaw> {
    let is_link = |line: &str| link_in(&line.replace("href=\"{{ link }}\"", ""));
    let lines = source.lines().enumerate().filter(|(_, line)| is_link(line));
    lines
        .map(|(index, _)| Flaw {
            line: Some(index + 1),
            problem: "contains a link".to_owned(),
        })
        .collect()
}

/// Refuses what has no place in a text: controls, private use, and the sign that a file was read in a wrong encoding.
/// Joiners, marks of direction and the like are part of the spelling of some languages.
fn unseen(source: &str) -> Vec<Flaw> {
    let is_foreign = |c: &char| is_meaningless(*c) && *c != '\t';
    let lines = source.trim_start_matches('\u{feff}').lines().enumerate();
    let found = lines.filter_map(|(index, line)| {
        let at = line.chars().position(|c| is_foreign(&c))?;
        let number = u32::from(line.chars().nth(at)?);
        Some(Flaw {
            line: Some(index + 1),
            problem: format!(
                "has U+{number:04X} as character {}, which customers cannot read",
                at + 1
            ),
        })
    });
    found.collect()
}

/// Whether a text contains what a mail reader or a telephone may show as a link.
pub(super) fn link_in(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["http", "href", "www."]
        .iter()
        .any(|sign| text.contains(sign))
}

/// Subjects, titles and alerts are one line. They are shown on locked screens, so they never
/// contain the code or what is approved.
fn line_flaws(source: &str, template: &Template, what: &str) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if source.trim().is_empty() || source.trim_end().lines().count() != 1 {
        flaws.push(flaw(&format!("is not exactly one line, as {what} must be")));
    }
    flaws.extend(open_flaws(template, what));
    flaws
}

/// A text that anybody may see or hear contains neither the code nor what is approved.
fn open_flaws(template: &Template, what: &str) -> Vec<Flaw> {
    let secret = [Place::Code, Place::CodePlain, Place::Details]
        .into_iter()
        .filter(|place| template.has(*place));
    secret
        .map(|place| {
            flaw(&format!(
                "contains {{{{ {} }}}}, which must not be in {what}",
                place.name()
            ))
        })
        .collect()
}

/// A greeting may reach an answering machine, so it contains neither the code nor what is approved.
fn greeting_flaws(template: &Template) -> Vec<Flaw> {
    let mut flaws = open_flaws(template, "a greeting");
    if !template.has(Place::Brand) {
        flaws.push(flaw("lacks {{ brand }}"));
    }
    flaws
}

/// Listeners who write the code down miss digits, so it must be spoken twice.
fn spoken_flaws(template: &Template) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if template.has(Place::CodePlain) {
        flaws.push(flaw(
            "contains {{ code_plain }}, which a voice reads as one number",
        ));
    }
    if template.has(Place::Code) && template.count(Place::Code) < 2 {
        flaws.push(flaw("says {{ code }} only once, but must say it twice"));
    }
    flaws
}

fn text_flaws(template: &Template, for_one_action: bool) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if !template.has(Place::Code) && !template.has(Place::CodePlain) {
        flaws.push(flaw("lacks {{ code }} or {{ code_plain }}"));
    }
    let required = [
        (Place::Brand, true),
        (Place::Action, !for_one_action),
        (Place::Details, true),
        (Place::NeverShare, true),
    ];
    for (place, is_required) in required {
        if is_required && !template.has(place) {
            flaws.push(flaw(&format!("lacks {{{{ {} }}}}", place.name())));
        }
    }
    flaws
}

fn flaw(problem: &str) -> Flaw {
    Flaw {
        line: None,
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "{{ brand }} {{ code }} {{ action }}\n{{ details }}\n{{ never_share }}";

    fn problems(form: Form, source: &str) -> Vec<String> {
        form.parse(source, false).map_or_else(
            |flaws| flaws.into_iter().map(|flaw| flaw.problem).collect(),
            |_| Vec::new(),
        )
    }

    #[test]
    fn text_04_a_text_holds_all_that_it_must() {
        for form in [
            Form::EmailText,
            Form::EmailHtml,
            Form::Sms,
            Form::Whatsapp,
            Form::Push,
        ] {
            assert_eq!(problems(form, GOOD), [""; 0]);
            for place in ["code", "brand", "action", "details", "never_share"] {
                let without = GOOD.replace(&format!("{{{{ {place} }}}}"), "");
                let problems = problems(form, &without);
                assert!(
                    matches!(&problems[..], [one] if one.contains(place)),
                    "{place}: {problems:?}"
                );
            }
        }
    }

    #[test]
    fn text_06_a_code_is_said_twice_and_not_before_a_key_press() {
        let twice = format!("{GOOD} {{{{ code }}}}");
        assert_eq!(problems(Form::Voice, &twice), [""; 0]);
        assert_eq!(
            problems(Form::Voice, GOOD),
            ["says {{ code }} only once, but must say it twice"]
        );
        assert_eq!(
            problems(Form::Voice, &format!("{twice} {{{{ code_plain }}}}")).len(),
            1
        );
        assert_eq!(
            problems(Form::VoiceGreeting, "This is {{ brand }}: press a key."),
            [""; 0]
        );
        for bad in [
            "press a key",
            "{{ brand }} {{ code }}",
            "{{ brand }} {{ code_plain }}",
            "{{ brand }} {{ details }}",
        ] {
            assert_eq!(problems(Form::VoiceGreeting, bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn text_04_only_a_mail_may_hold_the_one_link() {
        let link = format!("{GOOD}\n<a href=\"{{{{ link }}}}\">x</a>");
        assert_eq!(problems(Form::EmailHtml, &link), [""; 0]);
        assert_eq!(
            problems(Form::Sms, &link),
            ["contains {{ link }}, which only a mail may"]
        );
        assert_eq!(
            problems(Form::EmailHtml, &link.replace("\">", "?x=1\">")),
            ["contains a link"]
        );
    }

    #[test]
    fn text_04_a_text_holds_no_link() {
        for link in [
            "https://example.org",
            "HTTP://example.org",
            "<a HREF='x'>",
            "www.example.org",
        ] {
            assert_eq!(
                problems(Form::Sms, &format!("{GOOD}\n{link}")),
                ["contains a link"],
                "{link}"
            );
        }
    }

    #[test]
    fn a_text_for_one_action_may_name_it_in_its_own_words() {
        let source = GOOD.replace("{{ action }}", "your payment");
        assert!(Form::Sms.parse(&source, true).is_ok());
        assert!(Form::Sms.parse(&source, false).is_err());
    }

    #[test]
    fn chan_07_what_a_locked_screen_shows_holds_neither_code_nor_binding() {
        for form in [Form::PushTitle, Form::PushAlert] {
            assert_eq!(problems(form, "{{ brand }}: {{ action }}\n"), [""; 0]);
            for bad in ["{{ code }}", "{{ code_plain }}", "{{ details }}"] {
                let problems = problems(form, &format!("{{{{ action }}}} {bad}"));
                assert!(
                    matches!(&problems[..], [one] if one.contains("must not be in")),
                    "{problems:?}"
                );
            }
            assert_eq!(problems(form, "{{ action }}\nmore").len(), 1);
        }
        assert_eq!(
            problems(Form::PushAlert, "Open the app."),
            ["lacks {{ action }}"]
        );
    }

    #[test]
    fn bind_12_a_text_has_no_character_that_customers_cannot_read() {
        for (foreign, place) in [
            ('\0', "U+0000"),
            ('\u{1b}', "U+001B"),
            ('\u{96}', "U+0096"),
            ('\u{fffd}', "U+FFFD"),
            ('\u{e000}', "U+E000"),
            ('\u{378}', "U+0378"),
            ('\u{202e}', "U+202E"),
        ] {
            let source = format!("{GOOD}\nab{foreign}c");
            let expected = format!("has {place} as character 3, which customers cannot read");
            assert_eq!(problems(Form::Sms, &source), [expected]);
        }
        let spelled =
            format!("\u{feff}{GOOD}\n\t\u{6cc}\u{200c}\u{647} \u{2068}x\u{2069} \u{200f}");
        assert_eq!(problems(Form::EmailText, &spelled), [""; 0]);
    }

    #[test]
    fn a_subject_is_one_line_without_the_code() {
        assert_eq!(
            problems(Form::EmailSubject, "{{ brand }}: {{ action }}\n"),
            [""; 0]
        );
        for bad in [
            "",
            " \n",
            "a\nb",
            "\na",
            "{{ code }}",
            "{{ code_plain }}",
            "{{ details }}",
        ] {
            assert_eq!(problems(Form::EmailSubject, bad).len(), 1, "{bad:?}");
        }
    }
}
