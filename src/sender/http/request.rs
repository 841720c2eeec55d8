//! The request of one channel: URL, headers and body from templates, with each value escaped for
//! its context.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::{
    super::transport::http::{Call, ours},
    template::{Place, Template, Values},
};
use crate::{
    domain::delivery::reason::Reason, ports::sender::SendError, sender::settings::SettingError,
};

/// The HTTP method of a request that sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `POST`, which most providers use and which is the default.
    Post,
    /// `PUT`, for providers that let the client choose the message's id.
    Put,
}

/// The template of a request's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Fields of a form, each value a template.
    Form(Vec<(String, String)>),
    /// JSON in which each string is a template.
    Json(String),
}

impl Body {
    /// The key of the setting that holds it.
    pub(super) const fn key(&self) -> &'static str {
        match self {
            Self::Form(_) => "form",
            Self::Json(_) => "json",
        }
    }
}

/// The templates of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    /// The HTTP method, `POST` by default.
    pub method: Method,
    /// The URL; place-holders only after the host, and none that may contain the code.
    pub url: String,
    /// Headers in addition to those of the content and of the authentication.
    pub headers: Vec<(String, String)>,
    /// The template of the body, which carries the code.
    pub body: Body,
}

/// Headers that the connection and the body determine; settings cannot set them.
const OWN_HEADERS: [&str; 6] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "upgrade",
];

/// The parsed templates of a request, checked when the settings are read.
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

/// A string of the body. One that begins with `<` is XML, and values are escaped for XML.
#[derive(Debug)]
struct Text {
    template: Template,
    escape: fn(&str) -> String,
}

/// JSON with a template in place of each string.
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
    ) -> Result<Self, SettingError> {
        let url = Template::parse(&settings.url, parameters, in_url)
            .map_err(|problem| SettingError::new("url", problem))?;
        if url.is_secret() {
            return Err(SettingError::new(
                "url",
                "must not contain the code or the text: proxies and providers log URLs",
            ));
        }
        let names_host = url
            .fixed_begin()
            .split_once("://")
            .is_some_and(|(_, rest)| rest.contains('/'));
        if !names_host {
            return Err(SettingError::new(
                "url",
                "must begin with its scheme, host and a slash, all without place-holders",
            ));
        }
        let body = match &settings.body {
            Body::Form(fields) => Parsed::Form(form(fields, parameters)?),
            Body::Json(text) => {
                let value = serde_json::from_str(text).map_err(|problem| {
                    SettingError::new("json", format!("is not JSON: {problem}"))
                })?;
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

    /// An example of a URL that the template yields.
    pub(super) fn sample_url(&self) -> &str {
        &self.sample_url
    }

    /// Whether its body contains this place-holder.
    pub(super) fn has(&self, place: Place) -> bool {
        match &self.body {
            Parsed::Form(fields) => fields.iter().any(|(_, text)| text.template.has(place)),
            Parsed::Json(json) => json.has(place),
        }
    }

    /// The HTTP request for this message.
    pub(super) fn call(&self, values: &Values<'_>) -> Result<Call, SendError> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let text = template.render(values, as_it_is);
            headers.insert(
                name,
                HeaderValue::from_str(&text).map_err(|_| ours(Reason::BadMessage))?,
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

    /// Fills the values into the strings. A JSON writer writes the result, so no value
    /// can end its string.
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

    /// A field of an object; left out if it has place-holders and all of them are empty.
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

fn json(value: Value, parameters: &Parameters) -> Result<Json, SettingError> {
    Ok(match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Json::Fixed(value),
        Value::String(text) => Json::Text(
            Text::parse(&text, parameters).map_err(|problem| SettingError::new("json", problem))?,
        ),
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
                    .collect::<Result<_, SettingError>>()?,
            )
        }
    })
}

fn form(
    fields: &[(String, String)],
    parameters: &Parameters,
) -> Result<Vec<(String, Text)>, SettingError> {
    let parse = |(name, text): &(String, String)| {
        let text = Text::parse(text, parameters)
            .map_err(|problem| SettingError::new(format!("form.{name}"), problem))?;
        Ok((name.clone(), text))
    };
    fields.iter().map(parse).collect()
}

fn headers(
    headers: &[(String, String)],
    parameters: &Parameters,
) -> Result<Vec<(HeaderName, Template)>, SettingError> {
    let parse = |(name, text): &(String, String)| {
        let key = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !OWN_HEADERS.contains(&name.as_str()));
        let header =
            header.ok_or_else(|| SettingError::new(&key, "is not a header that may be set"))?;
        let template = Template::parse(text, parameters, as_it_is)
            .map_err(|problem| SettingError::new(&key, problem))?;
        if template.is_secret() || HeaderValue::from_str(&template.sample()).is_err() {
            return Err(SettingError::new(
                &key,
                "must be printable, and must not contain the code or the text",
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
