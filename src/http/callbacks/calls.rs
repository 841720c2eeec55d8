//! Speaks the code in a voice call after a key press. Without a key press the call ends (TEXT-06).

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use minijinja::HtmlEscape;
use serde_json::{Value, json};

use super::{
    Callbacks, Outcome, Receiver, count,
    head::{BODY_BYTES_MAX, Incoming, has_type_of, judge_head},
};
use crate::{
    domain::{
        delivery::{callback::Place, receipt::Receipt},
        ids::SenderName,
    },
    service::delivery::spoken::Spoken,
};

/// The format of a provider's instructions for a voice call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `TwiML`, the XML of Twilio.
    Twiml,
    /// NCCO, the JSON of Vonage.
    Ncco,
}

pub(super) async fn pressed(
    State(callbacks): State<Arc<Callbacks>>,
    Path((sender, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Ok(sender) = SenderName::parse(&sender) else {
        return Outcome::Absent.status().into_response();
    };
    let known = callbacks
        .receivers
        .get(&sender)
        .and_then(|receiver| Some((receiver, receiver.dialect?)));
    let Some((receiver, dialect)) = known else {
        return Outcome::Absent.status().into_response();
    };
    let answer = callbacks
        .answer(&sender, (receiver, dialect), &token, request)
        .await;
    count(
        &sender,
        answer
            .as_ref()
            .map_or_else(|outcome| outcome.word(), |_| "call"),
    );
    match answer {
        // The answer may contain the code.
        Ok(answer) => (
            [
                (header::CACHE_CONTROL, "no-store"),
                (header::CONTENT_TYPE, dialect.content_type()),
            ],
            answer,
        )
            .into_response(),
        Err(outcome) => outcome.status().into_response(),
    }
}

impl Callbacks {
    async fn answer(
        &self,
        sender: &SenderName,
        (receiver, dialect): (&Receiver, Dialect),
        token: &str,
        request: Request,
    ) -> Result<String, Outcome> {
        self.judge_sender(sender, Some(token), &request)?;
        judge_head(receiver, &request)?;
        if !has_type_of(dialect.place(), request.headers()) {
            return Err(Outcome::WrongType);
        }
        let incoming = Incoming::read(request, BODY_BYTES_MAX).await?;
        let id = self.verify(receiver, &incoming)?;
        if !dialect.is_pressed(&incoming.body) {
            return Ok(dialect.nothing());
        }
        let spoken = self
            .service
            .spoken(sender, token)
            .await?
            .ok_or(Outcome::Absent)?;
        self.take_once(sender, id).await?;
        // The customer is waiting on the telephone, so the code is spoken even if the delivery cannot be recorded.
        if spoken.is_code
            && let Err(failure) = self
                .service
                .receipt(sender, token, Receipt::Delivered)
                .await
        {
            tracing::warn!(%failure, "code spoken, but delivery not updated");
        }
        Ok(dialect.say(&spoken))
    }
}

impl Dialect {
    /// The place of the keys in a callback.
    const fn place(self) -> Place {
        match self {
            Self::Twiml => Place::Form,
            Self::Ncco => Place::Json,
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Twiml => "text/xml; charset=utf-8",
            Self::Ncco => "application/json",
        }
    }

    /// Whether a key was pressed. A callback without keys means no.
    fn is_pressed(self, body: &[u8]) -> bool {
        match self {
            Self::Twiml => url::form_urlencoded::parse(body)
                .any(|(name, value)| name == "Digits" && !value.is_empty()),
            Self::Ncco => {
                let event: Value = serde_json::from_slice(body).unwrap_or_default();
                // `{"dtmf": {"digits": "1"}}`, or in an older version of the event `{"dtmf": "1"}`.
                let keys = event
                    .pointer("/dtmf/digits")
                    .or_else(|| event.get("dtmf"))
                    .and_then(Value::as_str);
                keys.is_some_and(|keys| !keys.is_empty())
            }
        }
    }

    /// Instructions that end the call.
    fn nothing(self) -> String {
        match self {
            Self::Twiml => twiml("<Hangup/>"),
            Self::Ncco => "[]".to_owned(),
        }
    }

    /// Instructions that speak each line as a sentence, with a pause after it.
    fn say(self, spoken: &Spoken) -> String {
        let lines = spoken.text.lines().filter(|line| !line.trim().is_empty());
        match self {
            Self::Twiml => {
                let say = |line| {
                    format!(
                        "<Say language=\"{}\">{}</Say>",
                        spoken.voice,
                        HtmlEscape(line)
                    )
                };
                twiml(
                    &lines
                        .map(say)
                        .collect::<Vec<_>>()
                        .join("<Pause length=\"1\"/>"),
                )
            }
            Self::Ncco => lines
                .map(|line| json!({"action": "talk", "language": &*spoken.voice, "text": line}))
                .collect::<Value>()
                .to_string(),
        }
    }
}

fn twiml(inside: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{inside}</Response>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken() -> Spoken {
        let text = "Your code is: 1 2 3, 4 5 6.\n\nFor <Tom & \"Co\">.".to_owned();
        Spoken {
            text,
            voice: "en-GB".into(),
            is_code: true,
        }
    }

    #[test]
    fn text_06_only_a_key_counts_as_a_key_press() {
        for (body, pressed) in [
            ("Digits=5", true),
            ("CallSid=CA1&Digits=%23", true),
            ("Digits=", false),
            ("digits=5", false),
            ("", false),
        ] {
            assert_eq!(
                Dialect::Twiml.is_pressed(body.as_bytes()),
                pressed,
                "{body}"
            );
        }
        for (body, pressed) in [
            (r#"{"dtmf": {"digits": "1", "timed_out": false}}"#, true),
            (r#"{"dtmf": "1"}"#, true),
            (r#"{"dtmf": {"digits": "", "timed_out": true}}"#, false),
            (r#"{"dtmf": ""}"#, false),
            (r#"{"speech": {"results": []}}"#, false),
            ("not json", false),
        ] {
            assert_eq!(Dialect::Ncco.is_pressed(body.as_bytes()), pressed, "{body}");
        }
    }

    #[test]
    fn text_06_each_sentence_is_said_with_nothing_getting_out_of_it() {
        let twiml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response><Say language=\"en-GB\">Your code is: 1 2 3, 4 5 6.</Say>\
                     <Pause length=\"1\"/><Say language=\"en-GB\">For &lt;Tom &amp; &quot;Co&quot;&gt;.</Say></Response>";
        assert_eq!(Dialect::Twiml.say(&spoken()), twiml);
        let ncco: Value = serde_json::from_str(&Dialect::Ncco.say(&spoken())).unwrap();
        let talk = |text: &str| json!({"action": "talk", "language": "en-GB", "text": text});
        assert_eq!(
            ncco,
            json!([
                talk("Your code is: 1 2 3, 4 5 6."),
                talk("For <Tom & \"Co\">.")
            ])
        );
    }
}
