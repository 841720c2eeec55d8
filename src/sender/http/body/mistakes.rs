//! Finds all that cannot be used in the template of a body, not only the first.

use serde_json::Value;

use super::{super::template::Fixed, Body, fields, json, parsed};
use crate::sender::settings::SettingError;

/// All that [`parsed`] refuses of a body.
pub(in crate::sender::http) fn of_body(settings: &Body, fixed: Fixed<'_>) -> Vec<SettingError> {
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
