//! The parts of a request that carry a message: the fields of a query or form, JSON, XML and text, with each value escaped
//! for its context.

pub(super) mod mistakes;

use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::{
    template::{Fixed, Place, Template, Values},
    xml,
};
use crate::sender::settings::SettingError;

/// The character set of a query or a body; JSON is always in UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, which has every character.
    #[default]
    Utf8,
    /// ISO 8859-1, for gateways that know no other.
    Latin1,
}

impl Charset {
    /// The octets of a text; `None` if a character is missing in this set.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 => Some(text.as_bytes().to_vec()),
            Self::Latin1 => text.chars().map(|c| u8::try_from(c).ok()).collect(),
        }
    }

    /// The octets of XML, which can write every character as a number.
    fn encode_xml(self, xml: &str) -> Option<Vec<u8>> {
        match self {
            Self::Utf8 => self.encode(xml),
            Self::Latin1 => {
                let in_set = |c: char| match u8::try_from(c) {
                    Ok(_) => c.to_string(),
                    Err(_) => format!("&#{};", u32::from(c)),
                };
                self.encode(&xml.chars().map(in_set).collect::<String>())
            }
        }
    }
}

/// The template of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// No body: everything is in the query.
    None,
    /// Fields of a form, each value a template.
    Form(Vec<(String, String)>),
    /// JSON in which each string is a template.
    Json(String),
    /// XML, in which values are escaped.
    Xml(String),
    /// Text, in which values stand as they are.
    Text(String),
}

impl Body {
    /// The key of the setting that holds it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::None => "query",
            Self::Form(_) => "form",
            Self::Json(_) => "json",
            Self::Xml(_) => "xml",
            Self::Text(_) => "text",
        }
    }
}

#[derive(Debug)]
pub(super) enum Parsed {
    None,
    Form(Vec<(String, EscapedText)>),
    Json(Json),
    Xml(EscapedText),
    Text(EscapedText),
}

/// A string of the body. One that begins with `<` is XML, and values are escaped for XML.
#[derive(Debug)]
pub(super) struct EscapedText {
    pub(super) template: Template,
    pub(super) escape: fn(&str) -> String,
}

/// JSON with a template in place of each string.
#[derive(Debug)]
pub(super) enum Json {
    Fixed(Value),
    Text(EscapedText),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn has(&self, place: Place) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Text(text) => text.template.has(place),
            Self::List(items) => items.iter().any(|item| item.has(place)),
            Self::Object(fields) => fields.iter().any(|(_, field)| field.has(place)),
        }
    }

    /// Fills the values into the strings. A JSON writer writes the result, so no value
    /// can end its string.
    fn render(&self, values: &Values<'_>) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(text) => Value::String(text.render(values)),
            Self::List(items) => items.iter().map(|item| item.render(values)).collect(),
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .filter_map(|(name, field)| Some((name.clone(), field.render_field(values)?)));
                Value::Object(fields.collect())
            }
        }
    }

    /// A field of an object; left out if it has place-holders and all of them are empty.
    fn render_field(&self, values: &Values<'_>) -> Option<Value> {
        match self {
            Self::Text(text) => text.render_some(values).map(Value::String),
            Self::Fixed(_) | Self::List(_) | Self::Object(_) => Some(self.render(values)),
        }
    }
}

impl EscapedText {
    pub(super) fn render(&self, values: &Values<'_>) -> String {
        self.template.render(values, self.escape)
    }

    /// The text; `None` if it has place-holders and all of them are empty.
    pub(super) fn render_some(&self, values: &Values<'_>) -> Option<String> {
        self.template.render_some(values, self.escape)
    }

    fn parse(source: &str, fixed: Fixed<'_>) -> Result<Self, String> {
        let escape = if source.trim_start().starts_with('<') {
            in_xml
        } else {
            as_it_is
        };
        Self::escaped(source, fixed, escape)
    }

    fn escaped(source: &str, fixed: Fixed<'_>, escape: fn(&str) -> String) -> Result<Self, String> {
        Ok(Self {
            template: Template::parse(source, fixed, escape)?,
            escape,
        })
    }
}

/// A content type, and a body.
pub(super) type Rendered = (Option<&'static str>, Vec<u8>);

impl Parsed {
    /// The content type that the body usually has, and the body for this message; `None` if the character set lacks one
    /// of its characters.
    pub(super) fn render(&self, values: &Values<'_>, charset: Charset) -> Option<Rendered> {
        let body = match self {
            Self::None => Vec::new(),
            Self::Form(fields) => encode_form(fields, values, charset)?.into_bytes(),
            Self::Json(json) => json.render(values).to_string().into_bytes(),
            Self::Xml(text) => charset.encode_xml(&text.render(values))?,
            Self::Text(text) => charset.encode(&text.render(values))?,
        };
        Some((self.content_type(charset), body))
    }

    fn content_type(&self, charset: Charset) -> Option<&'static str> {
        Some(match (self, charset) {
            (Self::None, _) => return None,
            (Self::Form(_), _) => "application/x-www-form-urlencoded",
            (Self::Json(_), _) => "application/json",
            (Self::Xml(_), Charset::Utf8) => "text/xml; charset=utf-8",
            (Self::Xml(_), Charset::Latin1) => "text/xml; charset=iso-8859-1",
            (Self::Text(_), Charset::Utf8) => "text/plain; charset=utf-8",
            (Self::Text(_), Charset::Latin1) => "text/plain; charset=iso-8859-1",
        })
    }

    /// Whether it contains this place-holder.
    pub(super) fn has(&self, place: Place) -> bool {
        match self {
            Self::None => false,
            Self::Form(fields) => fields.iter().any(|(_, text)| text.template.has(place)),
            Self::Json(json) => json.has(place),
            Self::Xml(text) | Self::Text(text) => text.template.has(place),
        }
    }
}

pub(super) fn parsed(settings: &Body, fixed: Fixed<'_>) -> Result<Parsed, SettingError> {
    let wrong = |problem: String| SettingError::new(settings.key(), problem);
    Ok(match settings {
        Body::None => Parsed::None,
        Body::Form(of_form) => {
            Parsed::Form(fields("form", of_form, fixed).collect::<Result<_, _>>()?)
        }
        Body::Json(text) => {
            let value = serde_json::from_str(text)
                .map_err(|problem| wrong(format!("is not JSON: {problem}")))?;
            Parsed::Json(json(value, fixed)?)
        }
        Body::Xml(text) => {
            let text = EscapedText::escaped(text.trim(), fixed, in_xml).map_err(wrong)?;
            let sample = text.template.sample();
            if xml::parse(&sample).is_none() {
                return Err(wrong("is not XML with one root element".to_owned()));
            }
            Parsed::Xml(text)
        }
        Body::Text(text) => {
            let text = EscapedText::escaped(text, fixed, as_it_is).map_err(wrong)?;
            Parsed::Text(text)
        }
    })
}

pub(super) fn json(value: Value, fixed: Fixed<'_>) -> Result<Json, SettingError> {
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Json::Fixed(value),
        Value::String(text) => Json::Text(
            EscapedText::parse(&text, fixed)
                .map_err(|problem| SettingError::new("json", problem))?,
        ),
        Value::Array(items) => Json::List(
            items
                .into_iter()
                .map(|item| json(item, fixed))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let field = |(name, field)| Ok((name, json(field, fixed)?));
            Json::Object(
                fields
                    .into_iter()
                    .map(field)
                    .collect::<Result<_, SettingError>>()?,
            )
        }
    })
}

/// The templates of fields, each with its name.
pub(super) fn fields<'a>(
    key: &'a str,
    fields: &'a [(String, String)],
    fixed: Fixed<'a>,
) -> impl Iterator<Item = Result<(String, EscapedText), SettingError>> + 'a {
    fields.iter().map(move |(name, text)| {
        let text = EscapedText::parse(text, fixed)
            .map_err(|problem| SettingError::new(format!("{key}.{name}"), problem))?;
        Ok((name.clone(), text))
    })
}

fn encode_form(
    fields: &[(String, EscapedText)],
    values: &Values<'_>,
    charset: Charset,
) -> Option<String> {
    let encode = |text: &str| Some(byte_serialize(&charset.encode(text)?).collect::<String>());
    let mut pairs = Vec::new();
    for (name, text) in fields {
        if let Some(value) = text.render_some(values) {
            pairs.push(format!("{}={}", encode(name)?, encode(&value)?));
        }
    }
    Some(pairs.join("&"))
}

pub(super) fn as_it_is(value: &str) -> String {
    value.to_owned()
}

/// Escapes the five characters that have a meaning in XML. Characters that XML cannot contain become spaces.
fn in_xml(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Percent-encodes all but the unreserved characters of RFC 3986, so that a value stays within its path segment.
pub(super) fn in_url(value: &str) -> String {
    percent_encoded(value.as_bytes())
}

/// The same for octets of any character set.
pub(super) fn percent_encoded(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in octets.iter().copied() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
