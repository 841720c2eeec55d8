//! Finds all settings of a provider that cannot be used, not only the first.

use reqwest::header::{AUTHORIZATION, HeaderName};
use serde_json::Value;

use super::{
    Credentials, HttpSettings, Targets,
    body::{Body, fields, json, parsed},
    credentials, endpoint,
    request::{Request, RequestSettings},
    template::Fixed,
};
use crate::{
    domain::recipient::Channel,
    sender::settings::{SenderParts, SettingError, distinct},
};

/// All settings that cannot be used. Reads `ca_file`, so it blocks.
pub(super) fn all(settings: &HttpSettings, parts: &SenderParts) -> Vec<SettingError> {
    let requests = settings
        .requests
        .iter()
        .flat_map(|(channel, request)| request_problems(*channel, request, settings));
    let credentials = credentials(&settings.auth, parts);
    let header = match &credentials {
        Ok(Credentials::Fixed(name, _)) => Some(name.clone()),
        Ok(Credentials::Application(_)) => Some(AUTHORIZATION),
        Ok(Credentials::None) | Err(_) => None,
    };
    let repeated = header.and_then(|header| repeated(settings, &header));
    let others = [credentials.err(), repeated, settings.connection.problem()];
    distinct(requests.map(Some).chain(others))
}

/// All settings of one channel's request that cannot be used.
fn request_problems(
    channel: Channel,
    request: &RequestSettings,
    settings: &HttpSettings,
) -> Vec<SettingError> {
    let fixed = Fixed {
        parameters: &settings.parameters,
        secrets: &settings.secrets,
    };
    let mut problems = Request::problems(request, fixed);
    if problems.is_empty() {
        problems.extend(endpoint(channel, request, settings).err());
    } else if problems.iter().all(|problem| problem.key != "url") {
        problems.extend(
            Request::url_of(request, fixed)
                .and_then(|url| Targets::of(settings.url_key, &url, &settings.connection).err()),
        );
    }
    problems
}

/// The error for a header that the authentication sets too.
fn repeated(settings: &HttpSettings, header: &HeaderName) -> Option<SettingError> {
    let mut headers = settings
        .requests
        .values()
        .flat_map(|request| &request.headers);
    let (name, _) = headers.find(|(name, _)| name.eq_ignore_ascii_case(header.as_str()))?;
    let what = "is the header that auth sets; remove one of them";
    Some(SettingError::new(format!("headers.{name}"), what))
}

/// All that `parsed` refuses of a body.
pub(super) fn of_body(settings: &Body, fixed: Fixed<'_>) -> Vec<SettingError> {
    match settings {
        Body::Form(of_form) => fields("form", of_form, fixed)
            .filter_map(Result::err)
            .collect(),
        Body::Json(text) => match serde_json::from_str(text) {
            Ok(value) => json_problems(&value, fixed),
            Err(_) => parsed(settings, fixed).err().into_iter().collect(),
        },
        Body::None | Body::Xml(_) | Body::Text(_) => {
            parsed(settings, fixed).err().into_iter().collect()
        }
    }
}

fn json_problems(value: &Value, fixed: Fixed<'_>) -> Vec<SettingError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        Value::String(_) => json(value.clone(), fixed).err().into_iter().collect(),
        Value::Array(items) => {
            let problems = items.iter().flat_map(|item| json_problems(item, fixed));
            problems.collect()
        }
        Value::Object(fields) => {
            let problems = fields
                .values()
                .flat_map(|field| json_problems(field, fixed));
            problems.collect()
        }
    }
}
