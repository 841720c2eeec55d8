//! Templates: texts with place-holders, parsed once when they are loaded.
//!
//! Templates have no logic and nothing is evaluated. An unknown place-holder is refused, and values
//! are only copied into the output, so no value can be interpreted as a template.

use std::{fmt::Write as _, string::FromUtf8Error};

use minijinja::HtmlEscape;

/// A place-holder, written between `{{` and `}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The code: digit by digit in calls, in one run everywhere else.
    Code,
    /// The code in one run.
    CodePlain,
    /// The brand: the name by which customers know the sender.
    Brand,
    /// The action that the code is for, in words.
    Action,
    /// The minutes for which the code is still valid.
    Minutes,
    /// The details that are approved, one per line. Without any, its line of the
    /// template is left out.
    Details,
    /// The warning never to share the code.
    NeverShare,
    /// The URL of the page with the button that approves. Without one, its line of the
    /// template is left out.
    Link,
}

impl Place {
    const ALL: [Self; 8] = [
        Self::Code,
        Self::CodePlain,
        Self::Brand,
        Self::Action,
        Self::Minutes,
        Self::Details,
        Self::NeverShare,
        Self::Link,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodePlain => "code_plain",
            Self::Brand => "brand",
            Self::Action => "action",
            Self::Minutes => "minutes",
            Self::Details => "details",
            Self::NeverShare => "never_share",
            Self::Link => "link",
        }
    }
}

/// A bound value as a message shows it.
pub(super) struct Detail {
    /// The label, and what the language puts between the two.
    pub(super) before: String,
    pub(super) value: String,
    /// What the language puts behind the value.
    pub(super) after: String,
}

/// The values of one message. They contain the code, so there is no `Debug`.
pub(super) struct Values<'a> {
    pub(super) code: String,
    pub(super) code_plain: &'a str,
    pub(super) brand: &'a str,
    pub(super) action: String,
    pub(super) minutes: String,
    pub(super) details: Vec<Detail>,
    pub(super) never_share: &'a str,
    pub(super) link: Option<&'a str>,
}

/// The markup of the text, which decides how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Markup {
    Plain,
    Html,
    /// For speech synthesis: each line is a sentence, and the code is read digit by digit.
    Ssml,
}

/// The pauses between two digits, long enough to write them down, and between the two groups.
const PAUSES: [&str; 2] = ["<break time=\"500ms\"/>", "<break time=\"1s\"/>"];

impl Markup {
    /// Writes a value, escaped. Control characters become spaces, so that no value can start a
    /// new line or header.
    fn write(self, out: &mut String, value: &str) {
        let value: String = value
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        match self {
            Self::Plain => out.push_str(&value),
            // Writing to a string cannot fail.
            Self::Html | Self::Ssml => drop(write!(out, "{}", HtmlEscape(&value))),
        }
    }

    /// Writes the template's own words. Templates for HTML are HTML already; those for speech are
    /// plain text, which is escaped.
    fn write_words(self, out: &mut String, words: &str) {
        match self {
            Self::Plain | Self::Html => out.push_str(words),
            Self::Ssml => self.write(out, words),
        }
    }

    fn write_code(self, out: &mut String, values: &Values<'_>) {
        if self != Self::Ssml {
            return self.write(out, &values.code);
        }
        for (index, digit) in values.code_plain.chars().enumerate() {
            if index > 0 {
                out.push_str(PAUSES[usize::from(index == values.code_plain.len() / 2)]);
            }
            let _ = write!(out, "<say-as interpret-as=\"characters\">{digit}</say-as>");
        }
    }

    /// Writes a bound value. In HTML it stands apart from the text around it, so that a value in a script of the other
    /// direction changes the order of nothing else.
    fn write_detail(self, out: &mut String, detail: &Detail) {
        let (open, close) = match self {
            Self::Html => ("<bdi>", "</bdi>"),
            Self::Plain | Self::Ssml => ("", ""),
        };
        self.write(out, &detail.before);
        out.push_str(open);
        self.write(out, &detail.value);
        out.push_str(close);
        self.write(out, &detail.after);
    }

    const fn line_break(self) -> &'static str {
        match self {
            Self::Plain => "\n",
            Self::Html => "<br>\n",
            Self::Ssml => "</s>\n<s>",
        }
    }
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Place(Place),
}

#[derive(Debug)]
struct Line(Vec<Piece>);

/// A mistake in a template, and its line, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    pub(super) line: Option<usize>,
    pub(super) problem: String,
}

impl Flaw {
    /// A mistake of a whole file.
    pub(super) const fn of_file(problem: String) -> Self {
        Self {
            line: None,
            problem,
        }
    }

    /// The first byte of a file that is not UTF-8.
    pub(super) fn not_utf8(error: &FromUtf8Error) -> Self {
        let (bytes, good) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let line = bytes[..good].split(|byte| *byte == b'\n').count();
        let problem = format!(
            "has the byte 0x{:02X}, which is not UTF-8; save the file in that encoding",
            bytes[good]
        );
        let line = Some(line);
        Self { line, problem }
    }
}

/// A parsed template, line by line.
#[derive(Debug)]
pub(super) struct Template(Vec<Line>);

impl Template {
    /// Parses a template and reports all its mistakes.
    pub(super) fn parse(source: &str) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut lines = Vec::new();
        // Editors of some systems begin a file with a byte order mark.
        let source = source.trim_start_matches('\u{feff}');
        for (index, text) in source.lines().enumerate() {
            match parse_line(text) {
                Ok(line) => lines.push(line),
                Err(problem) => flaws.push(Flaw {
                    line: Some(index + 1),
                    problem,
                }),
            }
        }
        if flaws.is_empty() {
            Ok(Self(lines))
        } else {
            Err(flaws)
        }
    }

    /// Whether it contains this place-holder.
    pub(super) fn has(&self, place: Place) -> bool {
        self.0.iter().any(|line| line.has(place))
    }

    /// How often it contains this place-holder.
    pub(super) fn count(&self, place: Place) -> usize {
        self.0
            .iter()
            .flat_map(|line| &line.0)
            .filter(|piece| matches!(piece, Piece::Place(found) if *found == place))
            .count()
    }

    /// Copies the values into the template.
    pub(super) fn render(&self, values: &Values<'_>, markup: Markup) -> String {
        let mut out = String::new();
        let mut left_out = false;
        for line in &self.0 {
            let is_empty = |place| match place {
                Place::Details => values.details.is_empty(),
                Place::Link => values.link.is_none(),
                _ => false,
            };
            if Place::ALL
                .into_iter()
                .any(|place| is_empty(place) && line.has(place))
            {
                left_out = true;
                continue;
            }
            // The blank line after an omitted line is omitted too.
            if std::mem::take(&mut left_out) && line.0.is_empty() {
                continue;
            }
            if markup == Markup::Ssml {
                out.push_str("<s>");
                line.0
                    .iter()
                    .for_each(|piece| piece.render(&mut out, values, markup));
                out.push_str("</s>\n");
                continue;
            }
            line.0
                .iter()
                .for_each(|piece| piece.render(&mut out, values, markup));
            out.push('\n');
        }
        out.truncate(out.trim_end().len());
        out
    }
}

impl Line {
    fn has(&self, place: Place) -> bool {
        self.0
            .iter()
            .any(|piece| matches!(piece, Piece::Place(found) if *found == place))
    }
}

impl Piece {
    fn render(&self, out: &mut String, values: &Values<'_>, markup: Markup) {
        match self {
            Self::Text(text) => markup.write_words(out, text),
            Self::Place(Place::Code) => markup.write_code(out, values),
            Self::Place(Place::CodePlain) => markup.write(out, values.code_plain),
            Self::Place(Place::Brand) => markup.write(out, values.brand),
            Self::Place(Place::Action) => markup.write(out, &values.action),
            Self::Place(Place::Minutes) => markup.write(out, &values.minutes),
            Self::Place(Place::NeverShare) => markup.write(out, values.never_share),
            Self::Place(Place::Link) => markup.write(out, values.link.unwrap_or_default()),
            Self::Place(Place::Details) => {
                for (index, detail) in values.details.iter().enumerate() {
                    if index > 0 {
                        out.push_str(markup.line_break());
                    }
                    markup.write_detail(out, detail);
                }
            }
        }
    }
}

fn parse_line(text: &str) -> Result<Line, String> {
    if text.contains("{%") || text.contains("{#") {
        return Err("contains {% or {#, but templates have no logic".to_owned());
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, behind) = after
            .split_once("}}")
            .ok_or("has {{ without }} on the same line")?;
        let name = inside.trim();
        let place = Place::ALL
            .into_iter()
            .find(|place| place.name() == name)
            .ok_or_else(|| unknown(name))?;
        push_text(&mut pieces, before);
        pieces.push(Piece::Place(place));
        rest = behind;
    }
    push_text(&mut pieces, rest);
    Ok(Line(pieces))
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn unknown(name: &str) -> String {
    let known = Place::ALL.map(Place::name).join(", ");
    format!("contains {{{{ {name} }}}}, which is not a place-holder; there are {known}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(value: &str) -> Detail {
        Detail {
            before: "x: ".to_owned(),
            value: value.to_owned(),
            after: ".".to_owned(),
        }
    }

    fn values(details: &[&str]) -> Values<'static> {
        Values {
            code: "123 456".to_owned(),
            code_plain: "123456",
            brand: "{{ code }} <b>",
            action: "a".to_owned(),
            minutes: "5 minutes".to_owned(),
            details: details.iter().map(|&detail| named(detail)).collect(),
            never_share: "never",
            link: None,
        }
    }

    #[test]
    fn text_07_only_the_known_place_holders_are_taken() {
        for bad in [
            "{{7*7}}",
            "{{ code|upper }}",
            "{{ code.x }}",
            "{{ unknown }}",
            "{{}}",
            "{{ code",
            "{{ {{ code }} }}",
            "{% if code %}",
            "{# note #}",
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        let flaws = Template::parse("fine\n{{7*7}}\n{% x %}").unwrap_err();
        assert_eq!(
            flaws.iter().map(|flaw| flaw.line).collect::<Vec<_>>(),
            [Some(2), Some(3)]
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let template = Template::parse("\u{feff}{{ code_plain }}").unwrap();
        assert_eq!(template.render(&values(&[]), Markup::Plain), "123456");
    }

    #[test]
    fn text_07_a_value_is_copied_and_never_read() {
        let template = Template::parse("{{ brand }}|{{code}}").unwrap();
        assert_eq!(
            template.render(&values(&[]), Markup::Plain),
            "{{ code }} <b>|123 456"
        );
        assert_eq!(
            template.render(&values(&[]), Markup::Html),
            "{{ code }} &lt;b&gt;|123 456"
        );
    }

    #[test]
    fn a_line_without_details_is_left_out_with_the_blank_line_after_it() {
        let template = Template::parse("a\n\n<p>{{ details }}</p>\n\nb\n").unwrap();
        assert_eq!(template.render(&values(&[]), Markup::Plain), "a\n\nb");
        assert_eq!(
            template.render(&values(&["1", "<"]), Markup::Html),
            "a\n\n<p>x: <bdi>1</bdi>.<br>\nx: <bdi>&lt;</bdi>.</p>\n\nb"
        );
    }

    #[test]
    fn mail_02_a_value_starts_no_line() {
        let mut values = values(&["x: 1\r\n.\r\nMAIL FROM"]);
        values.brand = "b\r\nBcc: c@example.org";
        let template = Template::parse("{{ brand }} {{ details }}").unwrap();
        assert_eq!(template.render(&values, Markup::Plain).lines().count(), 1);
    }
}
