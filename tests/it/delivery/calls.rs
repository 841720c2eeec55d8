//! Voice calls: greeting first, code after a key press, nothing without one.

use countersign::{
    domain::delivery::callback::Scheme,
    pb::v1::{Channel, DeliveryStatus, Verdict},
};
use serde_json::{Value, json};

use crate::delivery::callbacks::{Answer, Bed, PUBLIC, SECRET, call, now, sign};

const TWILIO: &str =
    "account_sid = \"AC1\"\nauth_token_file = \"SECRET\"\nvoice_from = \"+15005550006\"\n";
const VONAGE: &str = "application_id = \"app-1\"\nprivate_key_file = \"RSA\"\nvoice_from = \"15005550006\"\n\
                      receipts = { secret_files = [\"SECRET\"] }\n";

async fn twilio() -> Bed {
    Bed::new(
        "twilio",
        TWILIO,
        Channel::Voice,
        &(201, json!({"sid": "CA1"})),
    )
    .await
}

async fn vonage() -> Bed {
    Bed::new(
        "vonage_voice",
        VONAGE,
        Channel::Voice,
        &(201, json!({"uuid": "u1", "status": "started"})),
    )
    .await
}

/// Requests the text of the call, as the provider does.
async fn ask(bed: &Bed, scheme: Scheme, path: &str, body: &str) -> Answer {
    let headers = sign(scheme, SECRET, (path, body), now(&bed.service));
    call(&bed.service, "POST", path, &headers, body).await
}

fn path_of(url: &str) -> String {
    url.strip_prefix(PUBLIC).unwrap().to_owned()
}

/// The value of an attribute of an XML element.
fn attribute(xml: &str, name: &str) -> String {
    xml.split_once(&format!("{name}=\""))
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0
        .to_owned()
}

/// All codes in a text: six separate digits each.
fn codes(text: &str) -> Vec<String> {
    let digits: String = text
        .chars()
        .filter(|c| c.is_ascii_digit() || !" ,".contains(*c))
        .collect();
    digits
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| part.len() == 6)
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn text_06_twilio_says_the_code_after_a_key_press_and_not_before() {
    let bed = twilio().await;
    let (id, got) = bed.sent(Channel::Voice).await;
    let twiml = got["Twiml"].as_str().unwrap();
    assert!(
        twiml.contains("<Say language=\"nl-NL\">") && twiml.contains("Druk op een toets"),
        "{twiml}"
    );
    assert!(
        codes(&format!("{got:?}")).is_empty(),
        "the request holds no code"
    );
    let path = path_of(&attribute(twiml, "action"));

    let silent = ask(
        &bed,
        Scheme::Twilio,
        &path,
        "CallSid=CA1&CallStatus=in-progress&Digits=",
    )
    .await;
    assert_eq!(
        (
            silent.status,
            silent.body.contains("<Hangup/>"),
            codes(&silent.body).len()
        ),
        (200, true, 0)
    );
    assert_eq!(bed.delivery(&id).await.0, DeliveryStatus::Sent);

    let pressed = "CallSid=CA1&CallStatus=in-progress&Digits=5&msg=Gather+End";
    let forged = call(
        &bed.service,
        "POST",
        &path,
        &sign(Scheme::Twilio, "other", (&path, pressed), 0),
        pressed,
    )
    .await;
    assert_eq!(
        (forged.status, forged.body.as_str()),
        (401, ""),
        "the address alone is not enough"
    );

    let said = ask(&bed, Scheme::Twilio, &path, pressed).await;
    assert_eq!(said.status, 200);
    assert!(
        said.head.contains("cache-control: no-store")
            && said.head.contains("content-type: text/xml"),
        "{}",
        said.head
    );
    let codes = codes(&said.body);
    assert_eq!(
        (codes.len(), &codes[0]),
        (2, &codes[1]),
        "said twice: {}",
        said.body
    );
    assert_eq!(
        bed.delivery(&id).await.0,
        DeliveryStatus::Delivered,
        "the customer heard it"
    );

    // After a key press, the end of the call changes nothing.
    let callback = path_of(got["StatusCallback"].as_str().unwrap());
    assert_eq!(
        ask(
            &bed,
            Scheme::Twilio,
            &callback,
            "CallSid=CA1&CallStatus=completed"
        )
        .await
        .status,
        204
    );
    assert_eq!(bed.delivery(&id).await.0, DeliveryStatus::Delivered);
    assert_eq!(bed.service.check(&id, &codes[0]).await, Verdict::Approved);

    let late = ask(&bed, Scheme::Twilio, &path, pressed).await;
    assert!(
        late.status == 200 && late.body.contains("Deze code is niet meer geldig."),
        "{}",
        late.body
    );
}

#[tokio::test]
async fn text_06_vonage_says_the_code_after_a_key_press_and_not_before() {
    let bed = vonage().await;
    let (id, got) = bed.sent(Channel::Voice).await;
    assert_eq!(
        got["to"],
        json!([{"type": "phone", "number": "31612345678"}])
    );
    let ncco = got["ncco"].as_array().unwrap();
    assert_eq!(
        (&ncco[0]["action"], &ncco[0]["language"]),
        (&json!("talk"), &json!("nl-NL"))
    );
    assert!(
        codes(&format!("{got:?}")).is_empty(),
        "the request holds no code"
    );
    let path = path_of(ncco[1]["eventUrl"][0].as_str().unwrap());

    let silent = ask(
        &bed,
        Scheme::Vonage,
        &path,
        r#"{"dtmf":{"digits":"","timed_out":true},"uuid":"u1"}"#,
    )
    .await;
    assert_eq!((silent.status, silent.body.as_str()), (200, "[]"));

    let pressed = r#"{"dtmf":{"digits":"7","timed_out":false},"from":"1","to":"2","uuid":"u1","conversation_uuid":"CON-1"}"#;
    let headers = sign(Scheme::Vonage, SECRET, (&path, pressed), now(&bed.service));
    let said = call(&bed.service, "POST", &path, &headers, pressed).await;
    let talks: Vec<Value> = serde_json::from_str(&said.body).unwrap();
    assert!(
        talks
            .iter()
            .all(|talk| talk["action"] == "talk" && talk["language"] == "nl-NL"),
        "{talks:?}"
    );
    let codes = codes(&said.body);
    assert_eq!((codes.len(), &codes[0]), (2, &codes[1]));
    assert_eq!(bed.delivery(&id).await.0, DeliveryStatus::Delivered);
    assert_eq!(
        call(&bed.service, "POST", &path, &headers, pressed)
            .await
            .status,
        204,
        "a repeated call is told nothing"
    );
    assert_eq!(bed.service.check(&id, &codes[0]).await, Verdict::Approved);
}

#[tokio::test]
async fn text_06_a_call_that_nobody_answers_is_undelivered() {
    for (said, reason) in [
        ("no-answer", "no_answer"),
        ("busy", "busy"),
        ("failed", "failed"),
        ("completed", "completed"),
    ] {
        let bed = twilio().await;
        let (id, got) = bed.sent(Channel::Voice).await;
        let callback = path_of(got["StatusCallback"].as_str().unwrap());
        let body = format!("CallSid=CA1&CallStatus={said}&CallDuration=0");
        assert_eq!(
            ask(&bed, Scheme::Twilio, &callback, &body).await.status,
            204
        );
        assert_eq!(
            bed.delivery(&id).await,
            (DeliveryStatus::Undelivered, reason.to_owned())
        );
    }
}

#[tokio::test]
async fn code_05_a_call_says_no_code_after_its_time() {
    let bed = twilio().await;
    let (_, got) = bed.sent(Channel::Voice).await;
    let path = path_of(&attribute(got["Twiml"].as_str().unwrap(), "action"));
    bed.service.advance(301);
    let late = ask(&bed, Scheme::Twilio, &path, "CallSid=CA1&Digits=1").await;
    assert!(
        late.status == 200 && late.body.contains("Deze code is niet meer geldig."),
        "{}",
        late.body
    );
    assert!(codes(&late.body).is_empty());
}
