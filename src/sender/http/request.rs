//! The request of one channel: URL, headers and body from templates, each value escaped for where it stands.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{
    super::transport::http::{Call, give_up},
    template::{Place, Template, Values},
};
use crate::ports::sender::SendError;

/// The verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The usual one.
    Post,
    /// For providers that let us name the message.
    Put,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// Fields of a form, each value a template.
    Form(Vec<(String, String)>),
    /// JSON in which each text is a template.
    Json(String),
}

/// The templates of a request.
#[derive(Clone, Debug)]
pub struct RequestSettings {
    /// The verb.
    pub method: Method,
    /// Where to; place-holders after the host only, and none that may carry the code.
    pub url: String,
    /// Headers beside those for the content and the credentials.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body,
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
#[error("{key} {problem}")]
pub struct RequestError {
    /// The key of the setting.
    pub key: String,
    /// The problem, as the end of a sentence that begins with the key.
    pub problem: String,
}

/// Headers that follow from the connection and the body.
const OWN_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
];

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct Request {
    method: reqwest::Method,
    url: Template,
    sample_url: String,
    headers: Vec<(HeaderName, Template)>,
    body: Parsed,
}

#[derive(Debug)]
enum Parsed {
    Form(Vec<(String, Text)>),
    Json(Json),
}

/// A text of the body. One that begins with `<` is XML, and its values are escaped for that.
#[derive(Debug)]
struct Text {
    template: Template,
    escape: fn(&str) -> String,
}

/// JSON with a template in the place of each text.
#[derive(Debug)]
enum Json {
    Fixed(Value),
    Text(Text),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

type Parameters = BTreeMap<String, String>;

impl Request {
    pub(super) fn new(
        settings: &RequestSettings,
        parameters: &Parameters,
    ) -> Result<Self, RequestError> {
        let url = Template::parse(&settings.url, parameters, in_url)
            .map_err(|problem| error("url", problem))?;
        if url.is_secret() {
            return Err(error(
                "url",
                "must not carry the message: URLs are logged by all that they pass".to_owned(),
            ));
        }
        let names_host = url
            .fixed_begin()
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains('/'));
        if !names_host {
            return Err(error(
                "url",
                "must name its scheme and host without place-holders, and a path".to_owned(),
            ));
        }
        let body = match &settings.body {
            Body::Form(fields) => Parsed::Form(form(fields, parameters)?),
            Body::Json(text) => {
                let value = serde_json::from_str(text)
                    .map_err(|problem| error("json", format!("is not JSON: {problem}")))?;
                Parsed::Json(json(value, parameters)?)
            }
        };
        let method = match settings.method {
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let headers = headers(&settings.headers, parameters)?;
        Ok(Self {
            method,
            sample_url: url.sample(),
            url,
            headers,
            body,
        })
    }

    /// A URL that the template can give.
    pub(super) fn sample_url(&self) -> &str {
        &self.sample_url
    }

    /// Does its body hold this place-holder?
    pub(super) fn has(&self, place: Place) -> bool {
        match &self.body {
            Parsed::Form(fields) => fields.iter().any(|(_, text)| text.template.has(place)),
            Parsed::Json(json) => json.has(place),
        }
    }

    /// The call that carries this message.
    pub(super) fn call(&self, values: &Values<'_>) -> Result<Call, SendError> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let text = template.render(values, as_it_is);
            headers.insert(
                name,
                HeaderValue::from_str(&text).map_err(|_| give_up("bad_message"))?,
            );
        }
        let (content_type, body) = match &self.body {
            Parsed::Form(fields) => (
                "application/x-www-form-urlencoded",
                encode_form(fields, values),
            ),
            Parsed::Json(json) => ("application/json", json.render(values).to_string()),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let url = self.url.render(values, in_url);
        Ok(Call {
            method: self.method.clone(),
            url,
            headers,
            body: body.into_bytes(),
        })
    }
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

    /// A value lands in a text and the whole is written by a JSON writer, so nothing can get out of its text.
    fn render(&self, values: &Values<'_>) -> Value {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::Text(text) => Value::String(text.template.render(values, text.escape)),
            Self::List(items) => items.iter().map(|item| item.render(values)).collect(),
            Self::Object(fields) => {
                let fields = fields
                    .iter()
                    .filter_map(|(name, field)| Some((name.clone(), field.render_field(values)?)));
                Value::Object(fields.collect())
            }
        }
    }

    /// A field of an object; one of whose place-holders nothing comes is left out.
    fn render_field(&self, values: &Values<'_>) -> Option<Value> {
        match self {
            Self::Text(text) => text
                .template
                .render_some(values, text.escape)
                .map(Value::String),
            Self::Fixed(_) | Self::List(_) | Self::Object(_) => Some(self.render(values)),
        }
    }
}

impl Text {
    fn parse(source: &str, parameters: &Parameters) -> Result<Self, String> {
        let escape = if source.trim_start().starts_with('<') {
            in_xml
        } else {
            as_it_is
        };
        Ok(Self {
            template: Template::parse(source, parameters, escape)?,
            escape,
        })
    }
}

fn json(value: Value, parameters: &Parameters) -> Result<Json, RequestError> {
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Json::Fixed(value),
        Value::String(text) => {
            Json::Text(Text::parse(&text, parameters).map_err(|problem| error("json", problem))?)
        }
        Value::Array(items) => Json::List(
            items
                .into_iter()
                .map(|item| json(item, parameters))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let field = |(name, field)| Ok((name, json(field, parameters)?));
            Json::Object(
                fields
                    .into_iter()
                    .map(field)
                    .collect::<Result<_, RequestError>>()?,
            )
        }
    })
}

fn form(
    fields: &[(String, String)],
    parameters: &Parameters,
) -> Result<Vec<(String, Text)>, RequestError> {
    let parse = |(name, text): &(String, String)| {
        let text = Text::parse(text, parameters)
            .map_err(|problem| error(&format!("form.{name}"), problem))?;
        Ok((name.clone(), text))
    };
    fields.iter().map(parse).collect()
}

fn headers(
    headers: &[(String, String)],
    parameters: &Parameters,
) -> Result<Vec<(HeaderName, Template)>, RequestError> {
    let parse = |(name, text): &(String, String)| {
        let key = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !OWN_HEADERS.contains(&name.as_str()));
        let header =
            header.ok_or_else(|| error(&key, "is not a header that may be set".to_owned()))?;
        let template =
            Template::parse(text, parameters, as_it_is).map_err(|problem| error(&key, problem))?;
        if template.is_secret() || HeaderValue::from_str(&template.sample()).is_err() {
            return Err(error(
                &key,
                "must be printable, and must not carry the message".to_owned(),
            ));
        }
        Ok((header, template))
    };
    headers.iter().map(parse).collect()
}

fn encode_form(fields: &[(String, Text)], values: &Values<'_>) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, text) in fields {
        if let Some(value) = text.template.render_some(values, text.escape) {
            form.append_pair(name, &value);
        }
    }
    form.finish()
}

fn as_it_is(value: &str) -> String {
    value.to_owned()
}

/// Writes the five characters that mean something in XML as references. What XML cannot hold at all becomes a space.
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

/// Percent-encodes all but the unreserved characters of RFC 3986, so that a value stays within its segment.
fn in_url(value: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn error(key: &str, problem: String) -> RequestError {
    RequestError {
        key: key.to_owned(),
        problem,
    }
}
