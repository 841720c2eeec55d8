//! Published JWT attacks, as far as they apply to tokens signed with HS256.

use super::*;

/// Cases that do not apply to these tokens, by the start of their names, and why.
const OTHERS: [(&str, &str); 26] = [
    ("S replaced by S + L", "of Ed25519 alone"),
    ("kid with NUL", "the providers name no key"),
    ("kid unknown", "the providers name no key"),
    ("kid missing", "the providers name no key"),
    ("kid of a retired key", "the providers name no key"),
    ("typ missing", "some tokens have none"),
    ("typ JWT", "it is the type of these tokens"),
    ("life longer than 300 s", "a rule for grants"),
    (
        "one megabyte of payload",
        "the listener refuses so long a header",
    ),
    ("nbf in the future", "the tolerance here is 300 s"),
    ("iat in the future", "this provider has nbf"),
    ("aud missing", "the token has none"),
    ("aud of another", "the token has none"),
    ("aud with the right", "the token has none"),
    ("aud as a list", "the token has none"),
    ("tenant of another", "a claim of grants"),
    ("sub of another", "a claim of grants"),
    ("action of another", "a claim of grants"),
    ("acr raised", "a claim of grants"),
    ("binding digest", "a claim of grants"),
    ("jti unknown", "any id is good once"),
    ("jti of another", "any id is good once"),
    ("jti already spent", "repeats are found after this check"),
    ("grant of an erased", "of grants alone"),
    ("line break inside a segment", "no header can carry it"),
    ("encrypted token", "tested by its form: five segments"),
];

/// The parts of a token before it is signed.
struct Parts {
    header: String,
    payload: String,
}

impl Parts {
    fn text(&self) -> String {
        format!(
            "{}.{}",
            BASE64_URL_SAFE_NO_PAD.encode(&self.header),
            BASE64_URL_SAFE_NO_PAD.encode(&self.payload)
        )
    }
}

/// Replaces the `$names` in a case by their values.
fn filled(value: &Value) -> Value {
    let numbers = [
        ("$now-61", json!(NOW - 61)),
        ("$exp_text", json!("1800000300")),
    ];
    match value {
        Value::String(text) => match numbers.iter().find(|(name, _)| name == text) {
            Some((_, number)) => number.clone(),
            None if text == "$nested_10000" => Value::String(text.clone()),
            None => json!(
                text.replace("$alg_lowercase", "hs256")
                    .replace("$alg_alias", "HMAC-SHA256")
                    .replace("$alg", "HS256")
                    .replace("$iss", "MessageBird")
                    .replace("$typ", "JWT")
            ),
        },
        Value::Array(items) => items.iter().map(filled).collect(),
        other => other.clone(),
    }
}

/// Sets and removes fields as a case says.
fn change(into: &mut Value, changes: &Value) {
    for (name, value) in changes["set"].as_object().into_iter().flatten() {
        into[name] = filled(value);
    }
    for name in changes["remove"].as_array().into_iter().flatten() {
        into.as_object_mut().unwrap().remove(name.as_str().unwrap());
    }
}

fn parts(case: &Value) -> Parts {
    let mut header = json!({"alg": "HS256", "typ": "JWT"});
    let mut payload = messagebird_claims();
    change(&mut header, &case["header"]);
    change(&mut payload, &case["payload"]);
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let mut parts = Parts {
        header: header.to_string(),
        payload: payload.to_string().replace("\"$nested_10000\"", &nested),
    };
    let form = case["form"].as_str().unwrap_or_default();
    match form.split_once(':') {
        Some(("raw_header", text)) => {
            parts.header = filled(&json!(text)).as_str().unwrap().to_owned();
        }
        Some(("raw_payload", text)) => text.clone_into(&mut parts.payload),
        Some(("raw_payload_append_duplicate", _)) => {
            parts.payload = parts.payload.replacen('{', "{\"iss\":\"MessageBird\",", 1);
        }
        Some(("raw_payload_replace", _)) => {
            let exp = format!("\"exp\":{}", NOW + 300);
            assert!(parts.payload.contains(&exp));
            parts.payload = parts.payload.replace(&exp, "\"exp\":1e999");
        }
        _ => {}
    }
    parts
}

fn tag(secret: &[u8], text: &str) -> Vec<u8> {
    MacKey::sha_256(secret).sign(&[text.as_bytes()])
}

/// The signature that a case demands over the signed text.
fn signature(case: &Value, text: &str) -> Vec<u8> {
    let ours = tag(b"s1", text);
    let flipped = |mut tag: Vec<u8>| {
        *tag.last_mut().unwrap() ^= 1;
        tag
    };
    match case["sign"].as_str().unwrap() {
        "server" => ours,
        "keep" => tag(b"s1", &parts(&json!({})).text()),
        "empty" => Vec::new(),
        "of_another_grant" => tag(b"s1", "another.text"),
        "server_flip_last_bit" => flipped(ours),
        "server_truncate_1" => ours[..31].to_vec(),
        "server_append_zero" => [ours, vec![0]].concat(),
        "bytes:zero64" => vec![0; 64],
        other => match other.split_once(':') {
            Some(("hmac", "empty")) => tag(b"", text),
            Some(("hmac" | "own", whose)) => tag(whose.as_bytes(), text),
            _ => panic!("{other}"),
        },
    }
}

fn assembled(case: &Value) -> String {
    let parts = parts(case);
    let mut text = parts.text();
    let form = case["form"].as_str().unwrap_or_default();
    if let Some(("raw_payload_hex", bytes)) = form.split_once(':') {
        let header = BASE64_URL_SAFE_NO_PAD.encode(&parts.header);
        let payload = BASE64_URL_SAFE_NO_PAD.encode(hex::decode(bytes).unwrap());
        text = format!("{header}.{payload}");
    }
    let tag = signature(case, &text);
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(&tag);
    let whole = format!("{text}.{encoded}");
    let (header, payload) = text.split_once('.').unwrap();
    match form
        .split_once(':')
        .map_or((form, ""), |(form, more)| (form, more))
    {
        ("two_segments", _) => text.clone(),
        ("append", more) => whole + more,
        ("prefix", more) => format!("{more}{whole}"),
        ("surround_spaces", _) => format!(" {whole} "),
        ("pad_segments", _) => format!("{header}==.{payload}=.{encoded}="),
        ("standard_base64", _) => format!("{text}.{}", BASE64_STANDARD.encode(&tag)),
        ("set_trailing_bits", _) => with_trailing_bits(&whole),
        ("json_flattened" | "json_general", _) => {
            json!({"protected": header, "payload": payload, "signature": encoded}).to_string()
        }
        _ => whole,
    }
}

/// Changes the two unused bits in the last base64 character of a 32-byte signature.
fn with_trailing_bits(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

#[test]
fn hook_02_no_published_forgery_is_taken_for_a_call_of_the_provider() {
    let vectors: Value = serde_json::from_str(include_str!(
        "../../../../../tests/vectors/forged_jwt_cases.json"
    ))
    .unwrap();
    let mut judged = [0, 0];
    for case in vectors["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        if OTHERS.iter().any(|(begin, _why)| name.starts_with(begin)) {
            continue;
        }
        let found = verify_jwt(Scheme::Messagebird, &assembled(case), BODY, NOW);
        let expected = case["expect"] == "accepted";
        assert_eq!(found.is_ok(), expected, "{name}: {found:?}");
        judged[usize::from(expected)] += 1;
    }
    assert_eq!(judged, [75, 1], "the vectors were read");
}

#[test]
fn hook_02_claims_as_a_list_are_no_claims() {
    let claims = json!([
        "MessageBird",
        null,
        NOW,
        NOW + 300,
        "j1",
        hash(BODY),
        hash(URL.as_bytes())
    ]);
    let token = jwt("s1", &json!({"alg": "HS256", "typ": "JWT"}), &claims);
    assert_eq!(
        verify_jwt(Scheme::Messagebird, &token, BODY, NOW),
        Err(NotGenuine::Unsigned)
    );
}
