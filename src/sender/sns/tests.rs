//! Messages as Amazon receives them, and the effects of its answers.

use std::time::Duration;

use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::{
    super::{
        doubles::samples::{self, Fixed},
        transport::http::{always_ours, unfit},
    },
    *,
};
use crate::domain::recipient::Recipient;

type Break = fn(&mut SnsSettings);

const TAKEN: &str = "<PublishResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
    <MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult><ResponseMetadata>\
    <RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>";

fn secret(text: &str) -> SecretText {
    SecretText::new(text.to_owned())
}

fn settings(server: &str) -> SnsSettings {
    SnsSettings {
        region: "eu-central-1".to_owned(),
        access_key_id: secret("AKIDEXAMPLE"),
        secret_access_key: secret("s3cret-word"),
        session_token: None,
        sender_id: Some("Bank".to_owned()),
        base_url: server.to_owned(),
        connection: samples::connection(server),
    }
}

fn sms() -> Message {
    Message {
        recipient: Recipient::parse(Channel::Sms, "+31612345678").unwrap(),
        ..samples::message()
    }
}

async fn amazon(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

async fn outcome(answer: ResponseTemplate) -> Result<Sent, SendError> {
    let server = amazon(answer).await;
    Sns::new(&settings(&server.uri()), Arc::new(Fixed))
        .unwrap()
        .send(&sms())
        .await
}

fn error(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>1</RequestId></ErrorResponse>"
    );
    ResponseTemplate::new(status).set_body_string(body)
}

#[tokio::test]
async fn amazon_gets_a_signed_form() {
    let server = amazon(ResponseTemplate::new(200).set_body_string(TAKEN)).await;
    let with_token = SnsSettings {
        session_token: Some(secret("t0ken/==")),
        ..settings(&server.uri())
    };
    assert!(
        !format!("{with_token:?}").contains("s3cret")
            && !format!("{with_token:?}").contains("t0ken")
    );
    let sent = Sns::new(&with_token, Arc::new(Fixed))
        .unwrap()
        .send(&sms())
        .await;
    assert_eq!(
        sent,
        Ok(Sent {
            reference: ProviderReference::parse("567910cd-659e-55d4-8ccb-5aaf14679dc0").ok(),
            ..Sent::default()
        })
    );

    let request = server.received_requests().await.unwrap().remove(0);
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    let expected = [
        ("Action", "Publish"),
        ("Version", "2010-03-31"),
        ("PhoneNumber", "+31612345678"),
        ("Message", "Your code: 123 456"),
        ("MessageAttributes.entry.1.Name", "AWS.SNS.SMS.SMSType"),
        ("MessageAttributes.entry.1.Value.DataType", "String"),
        (
            "MessageAttributes.entry.1.Value.StringValue",
            "Transactional",
        ),
        ("MessageAttributes.entry.2.Name", "AWS.SNS.SMS.SenderID"),
        ("MessageAttributes.entry.2.Value.DataType", "String"),
        ("MessageAttributes.entry.2.Value.StringValue", "Bank"),
    ];
    assert_eq!(
        fields,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (header("x-amz-date"), header("x-amz-security-token")),
        ("20250615T150640Z".to_owned(), "t0ken/==".to_owned())
    );
    let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20250615/eu-central-1/sns/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
    assert!(
        header("authorization").starts_with(begin),
        "{}",
        header("authorization")
    );
}

#[tokio::test]
async fn what_amazon_answers_says_what_is_next() {
    let invalid = "Invalid parameter: PhoneNumber Reason: +316 is not valid to publish to";
    for (answer, expected) in [
        (
            error(400, "Throttling", "Rate exceeded"),
            later(Reason::Busy, None),
        ),
        (
            error(400, "Throttling", "x").insert_header("retry-after", "9"),
            later(Reason::Busy, Some(Duration::from_secs(9))),
        ),
        (error(500, "InternalError", "x"), again(Reason::Busy, None)),
        (ResponseTemplate::new(503), again(Reason::Busy, None)),
        (
            error(400, "InvalidParameter", invalid),
            give_up(Reason::Refused),
        ),
        (
            error(400, "InvalidParameter", "Invalid parameter: SenderID"),
            unfit(Reason::SenderRefused),
        ),
        (error(403, "AuthorizationError", "x"), login_refused()),
        (error(403, "ExpiredToken", "x"), login_refused()),
        (error(403, "SignatureDoesNotMatch", "x"), login_refused()),
        (error(400, "OptedOut", "x"), give_up(Reason::OptedOut)),
        (error(400, "NewCode", "x"), unfit(Reason::SenderRefused)),
        (ResponseTemplate::new(301), always_ours(Reason::Redirected)),
        (
            ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
            next_sender(Reason::MalformedReply),
        ),
        (
            ResponseTemplate::new(200).set_body_string(" ".repeat(2_200_000)),
            next_sender(Reason::OversizedReply),
        ),
    ] {
        assert_eq!(outcome(answer).await, Err(expected));
    }
}

#[test]
fn an_id_is_read_only_where_exactly_one_stands() {
    let read = |xml: &str| element(xml, "PublishResponse", "MessageId").map(str::to_owned);
    assert_eq!(
        read(TAKEN).as_deref(),
        Some("567910cd-659e-55d4-8ccb-5aaf14679dc0")
    );
    assert_eq!(
        read(&format!("<?xml version=\"1.0\"?>\n{TAKEN}")),
        read(TAKEN)
    );
    for bad in [
        "",
        "<PublishResponse>",
        "<PublishResponses><MessageId>1</MessageId>",
        "<Other><MessageId>1</MessageId></Other>",
        "<PublishResponse><MessageId></MessageId></PublishResponse>",
        "<PublishResponse><MessageId>&x;</MessageId></PublishResponse>",
        "<PublishResponse><MessageId><a>1</a></MessageId></PublishResponse>",
        "<PublishResponse><MessageId>1</MessageId><MessageId>2</MessageId></PublishResponse>",
    ] {
        assert_eq!(read(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn what_amazon_would_not_take_is_not_sent() {
    let server = amazon(ResponseTemplate::new(200)).await;
    let sender = Sns::new(&settings(&server.uri()), Arc::new(Fixed)).unwrap();
    assert_eq!(
        sender.send(&samples::message()).await,
        Err(ours(Reason::WrongChannel))
    );
    let mut long = sms();
    Arc::make_mut(&mut long.content).text = "x".repeat(1601);
    assert_eq!(
        sender.send(&long).await,
        Err(ours(Reason::OversizedMessage))
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn what_is_wrong_with_the_settings_is_said() {
    let cases: [(&str, Break); 3] = [
        ("access_key_id_file holds characters", |s| {
            s.access_key_id = secret("a\nb");
        }),
        ("session_token_file holds characters", |s| {
            s.session_token = Some(secret("a\nb"));
        }),
        (
            "base_url \"http://127.0.0.1:1/\" must begin with https://",
            |s| {
                s.connection.plaintext = false;
            },
        ),
    ];
    for (begin, change) in cases {
        let mut settings = settings("http://127.0.0.1:1");
        change(&mut settings);
        let error = Sns::new(&settings, Arc::new(Fixed))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with(begin), "{begin}: {error}");
    }
}
