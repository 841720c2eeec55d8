//! Callbacks of each provider: receipts (valid, forged, repeated) and key presses.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use countersign::{
    domain::delivery::callback::Scheme,
    format::{
        mac::{MacKey, sha_256},
        standard_webhooks::WebhookKeys,
    },
    pb::v1::{self, Channel, DeliveryStatus, Verdict, VerificationStatus},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use crate::harness::{Harness, Setup, http::get, login, recipient, unique};

const NUMBER: &str = "+31612345678";
pub const PUBLIC: &str = "https://otp.bank.example";
/// A secret that is also valid for Standard Webhooks.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OTHER: &str = "whsec_Xy+E4kkgwwGQ50bqGMpiDlSAajSWMFzN3s818qhLnso=";

/// The answer to a callback.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends a raw request to the HTTP listener, because a client library would correct malformed ones.
pub async fn call(
    service: &Harness,
    method: &str,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(service.reach.http).await.unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect::<Vec<_>>()
        .concat();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn jwt(secret: &str, claims: &Value) -> String {
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!(
        "{}.{}",
        encode(&json!({"alg": "HS256", "typ": "JWT"})),
        encode(claims)
    );
    let tag = MacKey::sha_256(secret.as_bytes()).sign(&[signed.as_bytes()]);
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

fn hash(text: &str) -> String {
    hex::encode(sha_256(text.as_bytes()))
}

/// The headers with which a provider signs a request made at `seconds`.
pub fn sign(
    scheme: Scheme,
    secret: &str,
    (path, body): (&str, &str),
    seconds: u64,
) -> Vec<(&'static str, String)> {
    let url = format!("{PUBLIC}{path}");
    let id = unique("id");
    match scheme {
        Scheme::Twilio => {
            let fields: BTreeSet<(String, String)> = url::form_urlencoded::parse(body.as_bytes())
                .into_owned()
                .collect();
            let signed = url
                + &fields
                    .into_iter()
                    .map(|(name, value)| name + &value)
                    .collect::<String>();
            let tag = MacKey::sha_1(secret.as_bytes()).sign(&[signed.as_bytes()]);
            vec![
                ("x-twilio-signature", BASE64_STANDARD.encode(tag)),
                (
                    "content-type",
                    "application/x-www-form-urlencoded".to_owned(),
                ),
            ]
        }
        Scheme::Vonage => {
            let claims =
                json!({"iss": "Vonage", "iat": seconds, "jti": id, "payload_hash": hash(body)});
            vec![("authorization", format!("Bearer {}", jwt(secret, &claims)))]
        }
        Scheme::Messagebird => {
            let claims = json!({"iss": "MessageBird", "nbf": seconds, "exp": seconds + 300, "jti": id, "url_hash": hash(&url)});
            vec![("messagebird-signature-jwt", jwt(secret, &claims))]
        }
        Scheme::Meta => {
            let tag = MacKey::sha_256(secret.as_bytes()).sign(&[body.as_bytes()]);
            vec![(
                "x-hub-signature-256",
                format!("sha256={}", hex::encode(tag)),
            )]
        }
        Scheme::Basic => vec![(
            "authorization",
            format!(
                "Basic {}",
                BASE64_STANDARD.encode(format!("infobip:{secret}"))
            ),
        )],
        Scheme::StandardWebhooks => {
            let signature =
                WebhookKeys::parse([secret])
                    .unwrap()
                    .sign(&id, seconds, body.as_bytes());
            vec![
                ("webhook-id", id),
                ("webhook-timestamp", seconds.to_string()),
                ("webhook-signature", signature),
            ]
        }
    }
}

pub fn now(service: &Harness) -> u64 {
    use countersign::ports::system::Clock as _;
    service.clock.now().as_micros() / 1_000_000
}

/// A provider with a preset: its settings, its answer to a message, and its receipts.
struct Case {
    kind: &'static str,
    keys: &'static str,
    channel: Channel,
    reply: (u16, Value),
    scheme: Scheme,
    /// The field in which it gets the callback address; `None`: the address is set at the provider, whose receipts name
    /// the message by its own id.
    told: Option<&'static str>,
    delivered: &'static str,
    undelivered: &'static str,
    reason: &'static str,
}

/// All presets, with the formats of the providers' documentation.
fn cases() -> Vec<Case> {
    vec![
        Case {
            kind: "twilio",
            keys: "account_sid = \"AC1\"\nauth_token_file = \"SECRET\"\nfrom = \"+15005550006\"\n",
            channel: Channel::Sms,
            reply: (201, json!({"sid": "SM1"})),
            scheme: Scheme::Twilio,
            told: Some("StatusCallback"),
            delivered: "SmsSid=SM1&SmsStatus=delivered&MessageStatus=delivered&To=%2B31612345678&MessageSid=SM1&AccountSid=AC1&\
                        From=%2B15005550006&ApiVersion=2010-04-01",
            undelivered: "MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&AccountSid=AC1",
            reason: "30003",
        },
        Case {
            kind: "vonage",
            keys: "api_key = \"key\"\napi_secret_file = \"SECRET\"\nfrom = \"Bank\"\nreceipts = { secret_files = [\"SECRET\"] }\n",
            channel: Channel::Sms,
            reply: (202, json!({"message_uuid": "u1"})),
            scheme: Scheme::Vonage,
            told: Some("webhook_url"),
            delivered: r#"{"message_uuid":"u1","to":"31612345678","from":"Bank","timestamp":"2026-11-25T10:00:00Z","status":"delivered","channel":"sms"}"#,
            undelivered: r#"{"message_uuid":"u1","status":"undeliverable","error":{"type":"https://developer.vonage.com/api-errors/messages#1340","title":"1340","detail":"Outside the allowed window"}}"#,
            reason: "1340",
        },
        Case {
            kind: "messagebird",
            keys: "access_key_file = \"SECRET\"\nfrom = \"Bank\"\nreceipts = { secret_files = [\"SECRET\"] }\n",
            channel: Channel::Sms,
            reply: (201, json!({"id": "e8077d80"})),
            scheme: Scheme::Messagebird,
            told: Some("reportUrl"),
            delivered: "?id=e8077d80&reference=x&recipient=31612345678&status=delivered&statusDatetime=2026-11-25T08%3A58%3A10%2B00%3A00",
            undelivered: "?id=e8077d80&recipient=31612345678&status=delivery_failed&statusReason=unknown+subscriber&statusErrorCode=1",
            reason: "1",
        },
        Case {
            kind: "infobip",
            keys: "api_key_file = \"SECRET\"\nfrom = \"Bank\"\nreceipts = { username = \"infobip\", secret_files = [\"SECRET\"] }\n",
            channel: Channel::Sms,
            reply: (
                200,
                json!({"messages": [{"messageId": "REF", "status": {"groupId": 1}}]}),
            ),
            scheme: Scheme::Basic,
            told: None,
            delivered: r#"{"results":[{"bulkId":"b","messageId":"another","status":{"groupId":3,"groupName":"DELIVERED"}},{"bulkId":"b","messageId":"REF","to":"31612345678","status":{"groupId":3,"groupName":"DELIVERED","id":5,"name":"DELIVERED_TO_HANDSET"},"error":{"groupId":0,"id":0,"name":"NO_ERROR"}}]}"#,
            undelivered: r#"{"results":[{"messageId":"REF","status":{"groupId":2,"groupName":"UNDELIVERABLE","id":9,"name":"UNDELIVERABLE_NOT_DELIVERED"},"error":{"groupId":1,"groupName":"HANDSET_ERRORS","id":27,"name":"EC_ABSENT_SUBSCRIBER"}}]}"#,
            reason: "27",
        },
        Case {
            kind: "whatsapp_cloud",
            keys: "phone_number_id = \"1065\"\naccess_token_file = \"SECRET\"\ntemplate = \"sign_in\"\ngraph_version = \"v21.0\"\n\
                   receipts = { secret_files = [\"SECRET\"], verify_token_file = \"SECRET\" }\n",
            channel: Channel::Whatsapp,
            reply: (200, json!({"messages": [{"id": "REF"}]})),
            scheme: Scheme::Meta,
            told: None,
            delivered: r#"{"object":"whatsapp_business_account","entry":[{"id":"0","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"phone_number_id":"1065"},"statuses":[{"id":"REF","status":"read","timestamp":"1750857384","recipient_id":"31612345678"}]},"field":"messages"}]}]}"#,
            undelivered: r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"value":{"statuses":[{"id":"REF","status":"failed","errors":[{"code":131026,"title":"Message undeliverable"}]}]},"field":"messages"}]}]}"#,
            reason: "131026",
        },
    ]
}

/// The service with one sender on one channel, and its provider.
pub struct Bed {
    pub service: Harness,
    provider: MockServer,
}

impl Bed {
    pub async fn new(kind: &str, keys: &str, channel: Channel, reply: &(u16, Value)) -> Self {
        let provider = MockServer::start().await;
        let answer = ResponseTemplate::new(reply.0).set_body_json(&reply.1);
        Mock::given(any())
            .respond_with(answer)
            .mount(&provider)
            .await;
        let setup = Setup::default().with("HTTP__PUBLIC_URL", PUBLIC);
        let secret = setup.dir.path().join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let key = setup.dir.path().join("key.pem");
        if keys.contains("RSA") {
            let pair =
                rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
                    .unwrap();
            std::fs::write(&key, pair.serialize_pem()).unwrap();
        }
        let keys = keys
            .replace("SECRET", secret.to_str().unwrap())
            .replace("RSA", key.to_str().unwrap());
        let name = channel
            .as_str_name()
            .trim_start_matches("CHANNEL_")
            .to_lowercase();
        let (base, host) = (provider.uri(), provider.address().to_string());
        let own = format!("kind = \"{kind}\"\nbase_url = \"{base}\"\nallow_hosts = [\"{host}\"]\n");
        let file = format!("[senders.p]\n{own}{keys}\n[routes.{name}]\nsenders = [\"p\"]\n");
        Self {
            service: setup.file(&file).start().await,
            provider,
        }
    }

    /// Starts a verification and waits until the provider has the message; returns the verification and the message.
    pub async fn sent(&self, channel: Channel) -> (String, BTreeMap<String, Value>) {
        let recipients = vec![recipient(channel, NUMBER)];
        let start = v1::StartVerificationRequest {
            recipients,
            locale: "nl".to_owned(),
            ..login(&unique("s"))
        };
        let v = self.service.start(start).await.unwrap();
        self.service
            .until(&v.verification_id, |v| {
                v.deliveries[0].status() == DeliveryStatus::Sent
            })
            .await;
        let body = self
            .provider
            .received_requests()
            .await
            .unwrap()
            .pop()
            .unwrap()
            .body;
        let form = || {
            url::form_urlencoded::parse(&body)
                .into_owned()
                .map(|(name, value)| (name, Value::String(value)))
                .collect()
        };
        (
            v.verification_id,
            serde_json::from_slice(&body).unwrap_or_else(|_| form()),
        )
    }

    pub async fn delivery(&self, id: &str) -> (DeliveryStatus, String) {
        let delivery = self.service.get(id).await.unwrap().deliveries.remove(0);
        (delivery.status(), delivery.failure)
    }
}

/// A message that was sent by a preset, and the callback about it.
struct Told {
    verification: String,
    path: String,
    body: String,
    method: &'static str,
}

impl Case {
    async fn bed(&self) -> Bed {
        Bed::new(self.kind, self.keys, self.channel, &self.reply).await
    }

    async fn told(&self, bed: &Bed, said: &str) -> Told {
        let (verification, got) = bed.sent(self.channel).await;
        let url = self
            .told
            .map(|field| got[field].as_str().unwrap().to_owned());
        let path = url.map_or("/callbacks/p".to_owned(), |url| {
            url.strip_prefix(PUBLIC).unwrap().to_owned()
        });
        match said.strip_prefix('?') {
            Some(_) => Told {
                verification,
                path: path + said,
                body: String::new(),
                method: "GET",
            },
            None => Told {
                verification,
                path,
                body: said.to_owned(),
                method: "POST",
            },
        }
    }

    async fn tell(&self, bed: &Bed, told: &Told) -> u16 {
        let headers = sign(
            self.scheme,
            SECRET,
            (&told.path, &told.body),
            now(&bed.service),
        );
        call(&bed.service, told.method, &told.path, &headers, &told.body)
            .await
            .status
    }
}

#[tokio::test]
async fn hook_05_receipts_of_every_preset_move_their_delivery_and_never_backwards() {
    for case in cases() {
        let bed = case.bed().await;
        let told = case.told(&bed, case.undelivered).await;
        assert_eq!(case.tell(&bed, &told).await, 204, "{}", case.kind);
        let found = bed.delivery(&told.verification).await;
        assert_eq!(
            found,
            (DeliveryStatus::Undelivered, case.reason.to_owned()),
            "{}",
            case.kind
        );

        let delivered = match case.told {
            // The same address belongs to this message.
            Some(_) if told.method == "POST" => Told {
                body: case.delivered.to_owned(),
                ..told
            },
            Some(_) => Told {
                path: told.path.split('?').next().unwrap().to_owned() + case.delivered,
                ..told
            },
            None => Told {
                body: case.delivered.to_owned(),
                ..told
            },
        };
        assert_eq!(case.tell(&bed, &delivered).await, 204, "{}", case.kind);
        assert_eq!(
            bed.delivery(&delivered.verification).await.0,
            DeliveryStatus::Delivered,
            "{}",
            case.kind
        );
        assert_eq!(
            bed.service
                .get(&delivered.verification)
                .await
                .unwrap()
                .status(),
            VerificationStatus::Pending
        );

        // The provider sends the other receipt again; a delivered message stays delivered.
        let (path, body) = if delivered.method == "GET" {
            (
                delivered.path.split('?').next().unwrap().to_owned() + case.undelivered,
                String::new(),
            )
        } else {
            (delivered.path.clone(), case.undelivered.to_owned())
        };
        let late = Told {
            path,
            body,
            ..delivered
        };
        assert_eq!(case.tell(&bed, &late).await, 204, "{}", case.kind);
        assert_eq!(
            bed.delivery(&late.verification).await.0,
            DeliveryStatus::Delivered,
            "{}",
            case.kind
        );
    }
}

#[tokio::test]
async fn hook_02_forged_old_and_early_calls_of_every_preset_have_no_effect() {
    for case in cases() {
        let bed = case.bed().await;
        let told = case.told(&bed, case.delivered).await;
        let (signed, seconds) = ((told.path.as_str(), told.body.as_str()), now(&bed.service));
        let forged = [
            Vec::new(),
            sign(case.scheme, OTHER, signed, seconds),
            sign(case.scheme, "", signed, seconds)
                .into_iter()
                .filter(|_| case.scheme != Scheme::StandardWebhooks)
                .collect(),
            sign(
                case.scheme,
                SECRET,
                (&format!("{}x", told.path), &format!("{} ", told.body)),
                seconds,
            ),
        ];
        // With `basic` the password does not cover the body, so a changed one is accepted.
        let forged: Vec<_> = forged
            .into_iter()
            .take(if case.scheme == Scheme::Basic { 3 } else { 4 })
            .collect();
        let has_time = matches!(case.scheme, Scheme::Vonage | Scheme::Messagebird);
        let untimely = [seconds - 301, seconds + 301]
            .map(|seconds| sign(case.scheme, SECRET, signed, seconds));
        for headers in forged
            .into_iter()
            .chain(untimely.into_iter().filter(|_| has_time))
        {
            let answer = call(&bed.service, told.method, &told.path, &headers, &told.body).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (401, ""),
                "{} {headers:?}",
                case.kind
            );
        }
        assert_eq!(
            bed.delivery(&told.verification).await.0,
            DeliveryStatus::Sent,
            "{}",
            case.kind
        );
        assert_eq!(
            case.tell(&bed, &told).await,
            204,
            "{}: the right one is taken",
            case.kind
        );
    }
}

#[tokio::test]
async fn hook_02_a_call_with_an_id_is_taken_once() {
    for case in cases()
        .into_iter()
        .filter(|case| matches!(case.scheme, Scheme::Vonage | Scheme::Messagebird))
    {
        let bed = case.bed().await;
        let told = case.told(&bed, case.delivered).await;
        let headers = sign(
            case.scheme,
            SECRET,
            (&told.path, &told.body),
            now(&bed.service),
        );
        for status in [204, 204, 204] {
            let answer = call(&bed.service, told.method, &told.path, &headers, &told.body).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (status, ""),
                "{}",
                case.kind
            );
        }
    }
}

/// The service with receipts in our own format, and the recorder as its sender.
pub fn own(setup: Setup) -> Setup {
    let write = |name: &str, secret: &str| {
        let path = setup.dir.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files = [write("new", SECRET), write("old", OTHER)];
    let file = format!(
        "[senders.outbox]\nkind = \"webhook\"\nchannels = [\"email\"]\nurl = \"https://hooks.bank.example/\"\n\
         secret_files = [\"{}\"]\nreceipts = {{ secret_files = {files:?} }}\n",
        files[0]
    );
    let routes = ["sms", "voice", "whatsapp", "push"]
        .map(|channel| format!("[routes.{channel}]\nsenders = [\"screen\"]\n"));
    setup.with("HTTP__PUBLIC_URL", PUBLIC).file(&format!(
        "{file}[senders.screen]\nkind = \"outbox\"\n{}",
        routes.concat()
    ))
}

pub const DELIVERED: &str = r#"{"type":"message.receipt","data":{"status":"delivered"}}"#;

/// A verification whose message was accepted, and the address of its receipts.
pub async fn taken(service: &Harness) -> (String, String) {
    let v = service.start(login(&unique("s"))).await.unwrap();
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    let message = service
        .recorder
        .all()
        .into_iter()
        .find(|m| m.verification.to_string() == v.verification_id)
        .unwrap();
    (
        v.verification_id,
        format!("/callbacks/outbox/{}", message.receipt.as_str()),
    )
}

async fn post(service: &Harness, path: &str, headers: &[(&str, String)], body: &str) -> u16 {
    call(service, "POST", path, headers, body).await.status
}

#[tokio::test]
async fn hook_05_an_operators_own_service_tells_what_became_of_its_message() {
    let receiver = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(204))
        .mount(&receiver)
        .await;
    let setup = Setup::default().with("HTTP__PUBLIC_URL", PUBLIC);
    let files = [("out", OTHER), ("in", SECRET)].map(|(name, secret)| {
        let path = setup.dir.path().join(name);
        std::fs::write(&path, secret).unwrap();
        path
    });
    let file = format!(
        "[senders.own]\nkind = \"webhook\"\nchannels = [\"sms\"]\nurl = \"{}\"\nallow_hosts = [\"{}\"]\n\
         secret_files = [{:?}]\nreceipts = {{ secret_files = [{:?}] }}\n[routes.sms]\nsenders = [\"own\"]\n",
        receiver.uri(),
        receiver.address(),
        files[0],
        files[1]
    );
    let bed = Bed {
        service: setup.file(&file).start().await,
        provider: receiver,
    };
    let (id, got) = bed.sent(Channel::Sms).await;
    let path = got["data"]["receipt_url"]
        .as_str()
        .unwrap()
        .strip_prefix(PUBLIC)
        .unwrap();
    let body = r#"{"type":"message.receipt","data":{"status":"undelivered","reason":"phone_off"}}"#;
    // A signature made with the secret of our own messages is not accepted for receipts.
    let own = sign(
        Scheme::StandardWebhooks,
        OTHER,
        (path, body),
        now(&bed.service),
    );
    assert_eq!(post(&bed.service, path, &own, body).await, 401);
    let headers = sign(
        Scheme::StandardWebhooks,
        SECRET,
        (path, body),
        now(&bed.service),
    );
    assert_eq!(post(&bed.service, path, &headers, body).await, 204);
    assert_eq!(
        bed.delivery(&id).await,
        (DeliveryStatus::Undelivered, "phone_off".to_owned())
    );
}

#[tokio::test]
async fn hook_02_an_id_is_remembered_for_as_long_as_its_time_is_good() {
    let service = own(Setup::default()).start().await;
    let (id, path) = taken(&service).await;
    // Signed 300 s in the future, the most that is accepted, so that it stays valid for ten minutes.
    let headers = sign(
        Scheme::StandardWebhooks,
        SECRET,
        (&path, DELIVERED),
        now(&service) + 300,
    );
    assert_eq!(post(&service, &path, &headers, DELIVERED).await, 204);
    assert_eq!(
        service.get(&id).await.unwrap().deliveries[0].status(),
        DeliveryStatus::Delivered
    );
    let before = repeats(&service).await;
    for passed in [0, 300, 299] {
        service.advance(passed);
        assert_eq!(
            post(&service, &path, &headers, DELIVERED).await,
            204,
            "a repeat of an accepted call"
        );
    }
    assert!(repeats(&service).await >= before + 3, "and is seen as one");
    service.advance(2);
    assert_eq!(post(&service, &path, &headers, DELIVERED).await, 401, "old");
}

/// How many repeats of accepted calls were counted, of the sender `outbox`.
async fn repeats(service: &Harness) -> u64 {
    let page = get(service.reach.admin, "/metrics").await;
    let is_it = |line: &&str| {
        line.starts_with("countersign_callbacks_total")
            && line.contains("sender=\"outbox\"")
            && line.contains("outcome=\"repeated\"")
    };
    let line = page.lines().find(is_it);
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn hook_02_a_batch_of_three_megabytes_is_taken_where_a_provider_sends_them() {
    let cases = cases();
    for (kind, kib, status) in [
        ("whatsapp_cloud", 3000, 204),
        ("infobip", 3000, 204),
        ("whatsapp_cloud", 3100, 413),
        ("vonage", 100, 413),
    ] {
        let case = cases.iter().find(|case| case.kind == kind).unwrap();
        let bed = case.bed().await;
        let told = case.told(&bed, case.delivered).await;
        // Space is no part of a receipt, but of the body.
        let body = format!("{}{}", told.body, " ".repeat(kib * 1024));
        let signed = (told.path.as_str(), body.as_str());
        let headers = sign(case.scheme, SECRET, signed, now(&bed.service));
        let answer = call(&bed.service, told.method, &told.path, &headers, &body).await;
        assert_eq!(answer.status, status, "{kind} {kib}");
    }
}

#[tokio::test]
async fn send_20_a_callback_that_is_not_understood_is_accepted_and_counted() {
    let cases = cases();
    let case = cases.iter().find(|case| case.kind == "infobip").unwrap();
    let bed = case.bed().await;
    let told = case.told(&bed, case.delivered).await;
    let odd = told.body.replace("\"DELIVERED\"", "\"TELEPORTED\"");
    let headers = sign(case.scheme, SECRET, (&told.path, &odd), now(&bed.service));
    let answer = call(&bed.service, told.method, &told.path, &headers, &odd).await;
    assert_eq!(answer.status, 204);
    let page = get(bed.service.reach.admin, "/metrics").await;
    let counted = page.lines().any(|line| {
        line.starts_with("countersign_unreadable_receipts_total") && line.contains("unknown_state")
    });
    assert!(counted, "{page}");
}

#[tokio::test]
async fn send_20_a_callback_that_overtakes_the_answer_is_kept() {
    let cases = cases();
    for kind in ["infobip", "whatsapp_cloud"] {
        let case = cases.iter().find(|case| case.kind == kind).unwrap();
        let bed = case.bed().await;
        let (path, body) = ("/callbacks/p", case.delivered);
        let headers = sign(case.scheme, SECRET, (path, body), now(&bed.service));
        let answer = call(&bed.service, "POST", path, &headers, body).await;
        assert_eq!(answer.status, 204, "{kind}");
        let (id, _) = bed.sent(case.channel).await;
        let is_delivered = async || bed.delivery(&id).await.0 == DeliveryStatus::Delivered;
        let mut looks = 0;
        while !is_delivered().await {
            looks += 1;
            assert!(looks < 100, "{kind}: the receipt is lost");
            bed.service.pass(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test]
async fn send_20_a_callback_to_the_address_of_a_message_that_says_nothing_is_counted() {
    let service = own(Setup::default()).start().await;
    let (_, path) = taken(&service).await;
    let unread = async || {
        let page = get(service.reach.admin, "/metrics").await;
        let is_it = |line: &&str| {
            line.starts_with("countersign_unreadable_receipts_total{")
                && line.contains("sender=\"outbox\"")
                && line.contains("cause=\"unknown_state\"")
        };
        let line = page.lines().find(is_it).unwrap_or(" 0");
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let (before, body) = (unread().await, r#"{"data": {"state": "delivered"}}"#);
    let signed = (path.as_str(), body);
    let headers = sign(Scheme::StandardWebhooks, SECRET, signed, now(&service));
    assert_eq!(post(&service, &path, &headers, body).await, 204);
    assert!(unread().await > before);
}

#[tokio::test]
async fn hook_02_two_secrets_are_good_during_a_rotation_and_no_third() {
    let service = own(Setup::default()).start().await;
    let third = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (secret, status) in [(SECRET, 204), (OTHER, 204), (third, 401)] {
        let (id, path) = taken(&service).await;
        let headers = sign(
            Scheme::StandardWebhooks,
            secret,
            (&path, DELIVERED),
            now(&service),
        );
        assert_eq!(post(&service, &path, &headers, DELIVERED).await, status);
        let is_delivered =
            service.get(&id).await.unwrap().deliveries[0].status() == DeliveryStatus::Delivered;
        assert_eq!(is_delivered, status == 204);
    }
}

#[tokio::test]
async fn hook_05_no_word_of_a_provider_approves_or_ends_anything() {
    let service = own(Setup::default()).start().await;
    let v = service.start(login("s")).await.unwrap();
    let code = service.code_of(&v.verification_id).await;
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == DeliveryStatus::Sent
        })
        .await;
    let path = format!(
        "/callbacks/outbox/{}",
        service.recorder.all()[0].receipt.as_str()
    );
    for status in [
        "approved",
        "APPROVED",
        "rejected",
        "canceled",
        "undelivered",
        "delivered",
    ] {
        let body = json!({"type": "verification.approved", "data": {"status": status, "verdict": "APPROVED"}}).to_string();
        let headers = sign(
            Scheme::StandardWebhooks,
            SECRET,
            (&path, &body),
            now(&service),
        );
        assert_eq!(
            post(&service, &path, &headers, &body).await,
            204,
            "{status}"
        );
        let found = service.get(&v.verification_id).await.unwrap();
        assert_eq!(
            (found.status(), found.attempts_left),
            (VerificationStatus::Pending, v.attempts_left),
            "{status}"
        );
    }
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn hook_02_what_does_not_exist_looks_the_same_whatever_it_is() {
    let service = own(Setup::default()).start().await;
    let (_, path) = taken(&service).await;
    let token = path.rsplit_once('/').unwrap().1;
    let mut wrong = token.to_owned().into_bytes();
    wrong[20] = if wrong[20] == b'2' { b'3' } else { b'2' };
    let wrong = String::from_utf8(wrong).unwrap();
    let mut seen = Vec::new();
    for path in [
        format!("/callbacks/outbox/{wrong}"),
        "/callbacks/outbox/x".to_owned(),
        format!("/callbacks/nobody/{token}"),
        // A sender that sends no receipts.
        format!("/callbacks/screen/{token}"),
        "/callbacks/screen".to_owned(),
        // A sender that makes no voice calls.
        format!("/calls/outbox/{token}"),
        format!("/calls/nobody/{token}"),
    ] {
        let headers = sign(
            Scheme::StandardWebhooks,
            SECRET,
            (&path, DELIVERED),
            now(&service),
        );
        let answer = call(&service, "POST", &path, &headers, DELIVERED).await;
        assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{path}");
        seen.push(
            answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date:"))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test]
async fn hook_02_a_genuine_call_about_an_unknown_message_is_taken_and_does_nothing() {
    let service = own(Setup::default()).start().await;
    let (id, path) = taken(&service).await;
    let unknown = r#"{"data":{"status":"delivered","reference":"never-heard-of"}}"#;
    let nameless = r#"{"data":{"status":"delivered"}}"#;
    for body in [unknown, nameless, "{}", "[]"] {
        let headers = sign(
            Scheme::StandardWebhooks,
            SECRET,
            ("/callbacks/outbox", body),
            now(&service),
        );
        assert_eq!(
            post(&service, "/callbacks/outbox", &headers, body).await,
            204,
            "{body}"
        );
    }
    // After its verification was forgotten.
    service.advance(3600 + 900);
    service.get(&id).await.ok();
    let headers = sign(
        Scheme::StandardWebhooks,
        SECRET,
        (&path, DELIVERED),
        now(&service),
    );
    assert_eq!(post(&service, &path, &headers, DELIVERED).await, 204);
}

#[tokio::test]
async fn hook_02_a_malformed_or_huge_call_is_refused() {
    let service = own(Setup::default()).start().await;
    let (id, path) = taken(&service).await;
    for body in ["", "not json", "{\"data\":"] {
        let headers = sign(
            Scheme::StandardWebhooks,
            SECRET,
            (&path, body),
            now(&service),
        );
        assert_eq!(post(&service, &path, &headers, body).await, 400, "{body}");
    }
    let huge = format!("{{\"x\":\"{}\"}}", "x".repeat(64 * 1024));
    let headers = sign(
        Scheme::StandardWebhooks,
        SECRET,
        (&path, &huge),
        now(&service),
    );
    assert_eq!(post(&service, &path, &headers, &huge).await, 413);
    let headers = sign(Scheme::StandardWebhooks, SECRET, (&path, ""), now(&service));
    let other = call(&service, "GET", &path, &headers, "").await;
    assert_eq!(other.status, 405, "this provider posts");
    assert!(other.head.contains("allow: post"), "{}", other.head);
    assert_eq!(
        service.get(&id).await.unwrap().deliveries[0].status(),
        DeliveryStatus::Sent
    );
}

#[tokio::test]
async fn hook_02_a_challenge_is_answered_to_who_knows_the_token() {
    let case = cases().pop().unwrap();
    let bed = case.bed().await;
    let ask = |token: &str| {
        format!("/callbacks/p?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444")
    };
    let encoded: String = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    let right = call(&bed.service, "GET", &ask(&encoded), &[], "").await;
    assert_eq!((right.status, right.body.as_str()), (200, "1158201444"));
    let wrong = call(&bed.service, "GET", &ask("guess"), &[], "").await;
    assert_eq!((wrong.status, wrong.body.as_str()), (403, ""));
}

#[tokio::test]
async fn without_a_public_address_there_are_no_callbacks_and_none_are_offered() {
    let provider = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"sid": "SM1"})))
        .mount(&provider)
        .await;
    let setup = Setup::default();
    let secret = setup.dir.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let file = format!(
        "[senders.p]\nkind = \"twilio\"\naccount_sid = \"AC1\"\nauth_token_file = {secret:?}\nfrom = \"+15005550006\"\n\
         base_url = \"{}\"\nallow_hosts = [\"{}\"]\n[routes.sms]\nsenders = [\"p\"]\n",
        provider.uri(),
        provider.address()
    );
    let bed = Bed {
        service: setup.file(&file).start().await,
        provider,
    };
    let (_, got) = bed.sent(Channel::Sms).await;
    assert!(!got.contains_key("StatusCallback"), "{got:?}");
    assert_eq!(
        call(&bed.service, "POST", "/callbacks/p", &[], "")
            .await
            .status,
        404
    );
}
