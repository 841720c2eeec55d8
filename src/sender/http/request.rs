//! The request of one channel: URL, query, headers and body from templates.

use super::{
    super::transport::http::{Call, ours},
    body::{
        Body, Charset, EscapedText, Parsed, as_it_is, fields, in_url, mistakes, parsed,
        percent_encoded,
    },
    template::{Fixed, Place, Template, Values},
};
use crate::{
    domain::delivery::reason::Reason, ports::sender::SendError, sender::settings::SettingError,
};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

/// The HTTP method of a request that sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, for gateways that take the message in the query.
    Get,
    /// `POST`, which most providers use and which is the default.
    Post,
    /// `PUT`, for providers that let the client choose the message's id.
    Put,
}

/// The templates of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    /// The HTTP method, `POST` by default.
    pub method: Method,
    /// The URL; place-holders only after the host, and none that may contain the code.
    pub url: String,
    /// Parameters of the query, each value a template; it may carry the code where the gateway knows no other way.
    pub query: Vec<(String, String)>,
    /// Headers in addition to those of the content and of the authentication.
    pub headers: Vec<(String, String)>,
    /// The template of the body, which carries the code unless the query does.
    pub body: Body,
    /// The character set of the query and of a body that is no JSON.
    pub charset: Charset,
    /// The content type of the body, if not the usual one of its kind.
    pub content_type: Option<String>,
}

impl RequestSettings {
    /// Whether the query contains the code.
    pub(super) fn tells_code_in_query(&self) -> bool {
        self.query
            .iter()
            .any(|(_, source)| Template::tells_code(source))
    }
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
    query: Vec<(String, EscapedText)>,
    headers: Vec<(HeaderName, Template)>,
    body: Parsed,
    charset: Charset,
    content_type: Option<HeaderValue>,
}

impl Request {
    pub(super) fn new(settings: &RequestSettings, fixed: Fixed<'_>) -> Result<Self, SettingError> {
        let url = url_template(&settings.url, fixed)?;
        Ok(Self {
            method: match settings.method {
                Method::Get => reqwest::Method::GET,
                Method::Post => reqwest::Method::POST,
                Method::Put => reqwest::Method::PUT,
            },
            sample_url: url.sample(),
            url,
            query: fields("query", &settings.query, fixed).collect::<Result<_, _>>()?,
            headers: headers(&settings.headers, fixed).collect::<Result<_, _>>()?,
            body: parsed(&settings.body, fixed)?,
            charset: settings.charset,
            content_type: content_type(settings.content_type.as_deref())?,
        })
    }

    /// All that [`Self::new`] refuses.
    pub(super) fn problems(settings: &RequestSettings, fixed: Fixed<'_>) -> Vec<SettingError> {
        let mut problems: Vec<_> = url_template(&settings.url, fixed)
            .err()
            .into_iter()
            .collect();
        problems.extend(fields("query", &settings.query, fixed).filter_map(Result::err));
        problems.extend(headers(&settings.headers, fixed).filter_map(Result::err));
        problems.extend(mistakes::of_body(&settings.body, fixed));
        problems.extend(content_type(settings.content_type.as_deref()).err());
        problems
    }

    /// An example of the URL; `None` if its template cannot be used.
    pub(super) fn url_of(settings: &RequestSettings, fixed: Fixed<'_>) -> Option<String> {
        let url = url_template(&settings.url, fixed).ok()?;
        Some(url.sample())
    }

    /// An example of a URL that the template yields.
    pub(super) fn sample_url(&self) -> &str {
        &self.sample_url
    }

    /// Whether any part of it contains this place-holder.
    pub(super) fn has(&self, place: Place) -> bool {
        let in_query = self.query.iter().any(|(_, text)| text.template.has(place));
        self.body.has(place)
            || in_query
            || self.url.has(place)
            || self.headers.iter().any(|(_, header)| header.has(place))
    }

    /// The HTTP request for this message.
    pub(super) fn call(&self, values: &Values<'_>) -> Result<Call, SendError> {
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let text = template.render(values, as_it_is);
            let mut value = HeaderValue::from_str(&text).map_err(|_| ours(Reason::BadMessage))?;
            value.set_sensitive(template.has_credentials());
            headers.insert(name, value);
        }
        let rendered = self.body.render(values, self.charset);
        let (usual_type, body) = rendered.ok_or_else(|| ours(Reason::BadMessage))?;
        let usual_type = usual_type.map(HeaderValue::from_static);
        if let Some(content_type) = self.content_type.clone().or(usual_type) {
            headers.insert(CONTENT_TYPE, content_type);
        }
        Ok(Call {
            method: self.method.clone(),
            url: self.url(values).ok_or_else(|| ours(Reason::BadMessage))?,
            headers,
            body,
        })
    }

    /// `None` if the character set lacks a character of the query.
    fn url(&self, values: &Values<'_>) -> Option<String> {
        let mut url = self.url.render(values, in_url);
        for (name, text) in &self.query {
            if let Some(value) = text.render_some(values) {
                url.push(if url.contains('?') { '&' } else { '?' });
                // Blanks as %20 and not as plus, which some gateways keep.
                let value = percent_encoded(&self.charset.encode(&value)?);
                url.extend([&in_url(name), "=", &value]);
            }
        }
        Some(url)
    }
}

fn url_template(text: &str, fixed: Fixed<'_>) -> Result<Template, SettingError> {
    let wrong = |problem: &str| SettingError::new("url", problem);
    let url = Template::parse(text, fixed, in_url).map_err(|problem| wrong(&problem))?;
    let names_host = url
        .fixed_begin()
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    if url.is_secret() {
        Err(wrong(
            "must not contain the code or the text: proxies and providers log URLs",
        ))
    } else if names_host {
        Ok(url)
    } else {
        Err(wrong(
            "must begin with its scheme, host and a slash, all without place-holders",
        ))
    }
}

fn content_type(text: Option<&str>) -> Result<Option<HeaderValue>, SettingError> {
    let value = text.map(HeaderValue::from_str).transpose();
    value.map_err(|_| {
        SettingError::new(
            "content_type",
            "holds characters that a header cannot carry",
        )
    })
}

fn headers<'a>(
    headers: &'a [(String, String)],
    fixed: Fixed<'a>,
) -> impl Iterator<Item = Result<(HeaderName, Template), SettingError>> + 'a {
    headers.iter().map(move |(name, text)| {
        let key = format!("headers.{name}");
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !OWN_HEADERS.contains(&name.as_str()));
        let header =
            header.ok_or_else(|| SettingError::new(&key, "is not a header that may be set"))?;
        let template = Template::parse(text, fixed, as_it_is)
            .map_err(|problem| SettingError::new(&key, problem))?;
        let sample = template.sample_with_secrets();
        if template.is_secret() || HeaderValue::from_str(sample.expose()).is_err() {
            return Err(SettingError::new(
                &key,
                "must be printable, and must not contain the code or the text",
            ));
        }
        Ok((header, template))
    })
}
