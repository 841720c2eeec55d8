//! Finds all settings of a provider that cannot be used, not only the first.

use reqwest::header::{AUTHORIZATION, HeaderName};

use super::{
    Credentials, HttpSettings, Targets, credentials, endpoint,
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
