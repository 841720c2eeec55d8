//! The raw content of Redis after every kind of conversation: no personal data, and no code.

use std::path::Path;

use countersign::pb::v1::{
    self, CancelReason, Channel, DeliveryStatus, Verdict, VerificationStatus,
};
use tonic::Code;

use crate::{
    harness::{
        Harness, Setup, anonymous, canary::Canaries, nth_wrong, on_contact, recipient, shape,
        unique, wrong,
    },
    rig::{Options, RedisServer, Reply},
};

/// A verification has at most four recipients; WhatsApp uses the same numbers as SMS.
const CHANNELS: [Channel; 4] = [Channel::Email, Channel::Sms, Channel::Voice, Channel::Push];
/// How a verification ends. Each is run on each channel: 40 verifications, including those that replace another.
const STORIES: [Story; 9] = [
    // Comes first, so that the others have not expired when Redis is read.
    Story::Expired,
    Story::Approved,
    Story::ApprovedAfterMistakes,
    Story::Exhausted,
    Story::Canceled,
    Story::NotMe,
    Story::SentAgain,
    Story::Superseded,
    Story::Open,
];
const ACTION: &str = "canary_action";
const BRAND: &str = "Canary Brand";
const LOCALE: &str = "de-CANARYCH";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    Approved,
    ApprovedAfterMistakes,
    Exhausted,
    Canceled,
    NotMe,
    SentAgain,
    Superseded,
    Expired,
    Open,
}

/// The whole content of one server, in named pieces.
fn dump(server: &RedisServer) -> Vec<(String, Vec<u8>)> {
    let mut client = server.client().unwrap();
    let mut ask = |arguments: &[&[u8]]| client.call(arguments).unwrap().ok();
    let (mut pieces, mut cursor) = (Vec::new(), b"0".to_vec());
    loop {
        let page = ask(&[b"SCAN", &cursor, b"COUNT", b"1000"]);
        for key in page.list()[1].list().iter().map(Reply::bytes) {
            let kind = ask(&[b"TYPE", key]).text();
            let value = match kind.as_str() {
                "string" => ask(&[b"GET", key]),
                "zset" => ask(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"]),
                "stream" => ask(&[b"XRANGE", key, b"-", b"+"]),
                other => panic!("the store has no use for a {other}"),
            };
            let name = String::from_utf8_lossy(key).into_owned();
            pieces.push((format!("key name {name}"), key.to_vec()));
            let mut bytes = Vec::new();
            flat(&value, &mut bytes);
            pieces.push((format!("{kind} {name}"), bytes));
        }
        cursor = page.list()[0].bytes().to_vec();
        if cursor == b"0" {
            break;
        }
    }
    let channels = ask(&[b"PUBSUB", b"SHARDCHANNELS"]);
    pieces.extend(
        channels
            .list()
            .iter()
            .map(|channel| ("channel".to_owned(), channel.bytes().to_vec())),
    );
    files(server.dir(), &mut pieces);
    pieces
}

fn flat(value: &Reply, bytes: &mut Vec<u8>) {
    match value {
        Reply::List(parts) => parts.iter().for_each(|part| flat(part, bytes)),
        Reply::Bulk(text) => bytes.extend([&text[..], b"\n"].concat()),
        other => bytes.extend(other.text().bytes()),
    }
}

fn files(dir: &Path, pieces: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), pieces);
        } else {
            pieces.push((
                format!("file {}", entry.file_name().display()),
                std::fs::read(entry.path()).unwrap(),
            ));
        }
    }
}

/// The addresses of one person, one for each channel.
fn address(channel: Channel, person: usize) -> String {
    match channel {
        Channel::Email => format!("canary-address-{person}@recipient.example"),
        Channel::Push => format!("fcm:canary-token-of-the-app-of-person-{person}"),
        other => format!("+31612{:04}{:02}", person * 7 + 1000, other as i32),
    }
}

/// Calls a service, and collects what must stay secret.
struct Talk<'a> {
    service: &'a Harness,
    secrets: Vec<String>,
    people: usize,
}

impl Talk<'_> {
    /// A start with every field set, for a new person.
    fn request(&mut self, channel: Channel) -> v1::StartVerificationRequest {
        self.people += 1;
        let n = self.people;
        let word = |what: &str| format!("canary-{what}-{n}");
        let recipients: Vec<_> = CHANNELS
            .iter()
            .map(|channel| recipient(*channel, &address(*channel, n)))
            .collect();
        for address in recipients.iter().map(|recipient| recipient.address.clone()) {
            // A number also without its plus sign, and in national format.
            self.secrets
                .extend(address.strip_prefix("fcm:").map(str::to_owned));
            if let Some(digits) = address.strip_prefix('+') {
                self.secrets
                    .extend([digits.to_owned(), digits.replacen("31", "0", 1)]);
            }
            self.secrets.push(address);
        }
        let field = format!("canary_field_{n}");
        self.secrets.extend(
            [
                "subject", "amount", "payee", "contact", "case", "agent", "own",
            ]
            .map(word),
        );
        self.secrets.push(field.clone());
        v1::StartVerificationRequest {
            subject: word("subject"),
            action: ACTION.to_owned(),
            recipients,
            locale: LOCALE.to_owned(),
            binding: [
                ("amount".to_owned(), word("amount")),
                (field, word("payee")),
            ]
            .into(),
            contact: Some(v1::Contact {
                contact_id: word("contact"),
                case_id: word("case"),
                channel: v1::ContactChannel::Phone.into(),
                agent_id: word("agent"),
                agent_recipients: vec![format!("{}@example.net", word("own"))],
            }),
            preferred_channel: channel.into(),
            source_ip: "203.0.113.77".to_owned(),
            quota_keys: vec![word("contact")],
            ..anonymous("")
        }
    }

    /// Waits until this many messages were handed over and reported.
    async fn sent(&self, id: &str, deliveries: usize) {
        let noted = |v: &v1::Verification| {
            v.deliveries.len() == deliveries
                && v.deliveries
                    .iter()
                    .all(|delivery| delivery.status() == DeliveryStatus::Sent)
        };
        self.service.until(id, noted).await;
    }

    async fn verdict(&self, id: &str, code: &str, verdict: Verdict) {
        assert_eq!(self.service.check(id, code).await, verdict);
    }

    /// Makes calls that are refused, which leaves events too.
    async fn refusals(&mut self, request: &v1::StartVerificationRequest, id: &str, code: &str) {
        let malformed = self
            .service
            .try_check(id, &format!("{code}0"), &unique("m"))
            .await;
        assert_eq!(
            shape(malformed),
            (Code::InvalidArgument, "CODE_MALFORMED".to_owned())
        );
        assert_eq!(
            shape(self.service.try_resend(id, Channel::Sms).await).1,
            "RESEND_TOO_EARLY"
        );
        let other = v1::StartVerificationRequest {
            locale: "nl".to_owned(),
            ..request.clone()
        };
        assert_eq!(
            shape(self.service.start(other).await).1,
            "REQUEST_ID_REUSED"
        );
        let one_more = on_contact(
            v1::StartVerificationRequest {
                request_id: unique("r"),
                ..request.clone()
            },
            "another",
        );
        assert_eq!(shape(self.service.start(one_more).await).1, "TOO_MANY_LIVE");
    }

    async fn tell(&mut self, story: Story, channel: Channel) {
        let service = self.service;
        let request = self.request(channel);
        let (v, code) = service.start_and_read(request.clone()).await;
        assert_eq!((code.len(), v.channel()), (8, channel));
        let id = &v.verification_id;
        self.secrets.extend([code.clone(), wrong(&code)]);
        // Reported before time passes: if its lease ended first, the message would be sent again.
        self.sent(id, 1).await;
        self.refusals(&request, id, &code).await;
        match story {
            Story::Approved => self.verdict(id, &code, Verdict::Approved).await,
            Story::ApprovedAfterMistakes => {
                for n in 0..3 {
                    self.verdict(id, &nth_wrong(&code, n), Verdict::Wrong).await;
                }
                self.verdict(id, &code, Verdict::Approved).await;
                self.verdict(id, &code, Verdict::Closed).await;
            }
            Story::Exhausted => {
                for n in 0..4 {
                    self.verdict(id, &nth_wrong(&code, n), Verdict::Wrong).await;
                }
                self.verdict(id, &nth_wrong(&code, 4), Verdict::AttemptsExhausted)
                    .await;
            }
            Story::Canceled => drop(
                service
                    .try_cancel(id, CancelReason::Requested)
                    .await
                    .unwrap(),
            ),
            Story::NotMe => drop(service.try_cancel(id, CancelReason::NotMe).await.unwrap()),
            Story::SentAgain => {
                for channel in CHANNELS.iter().filter(|other| **other != channel) {
                    service.advance(31);
                    let deliveries = service
                        .try_resend(id, *channel)
                        .await
                        .unwrap()
                        .deliveries
                        .len();
                    self.sent(id, deliveries).await;
                }
                self.verdict(id, &code, Verdict::Approved).await;
            }
            Story::Superseded => {
                let again = v1::StartVerificationRequest {
                    request_id: unique("again"),
                    ..request
                };
                let (_, code) = service.start_and_read(again).await;
                self.secrets.push(code);
            }
            Story::Expired => {
                service.advance(303);
                service
                    .until(id, |v| v.status() == VerificationStatus::Expired)
                    .await;
                self.verdict(id, &code, Verdict::Expired).await;
            }
            Story::Open => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_12_seal_07_a_dump_of_redis_tells_nothing() {
    let server = RedisServer::start(&Options::default().appendonly());
    let action = |key: &str| format!("ACTIONS__{}__{key}", ACTION.to_uppercase());
    let setup = Setup::default()
        .on(&server)
        .with(&action("CODE_DIGITS"), "8")
        .with("MESSAGES__BRAND", BRAND);
    let service = setup.start().await;
    let mut talk = Talk {
        service: &service,
        secrets: Vec::new(),
        people: 0,
    };
    for (channel, story) in CHANNELS
        .into_iter()
        .flat_map(|channel| STORIES.map(|story| (channel, story)))
    {
        talk.tell(story, channel).await;
    }
    let Talk {
        mut secrets,
        people,
        ..
    } = talk;
    assert!(
        people + CHANNELS.len() <= 50,
        "{people} and those that took the place of another"
    );
    let key_file = |name: &str| {
        std::fs::read_to_string(setup.dir.path().join("data/keys").join(name)).unwrap()
    };
    secrets.extend(["names.key", "dev.key"].map(|name| key_file(name).trim().to_owned()));
    let words = [
        ACTION,
        BRAND,
        LOCALE,
        "recipient.example",
        "203.0.113.77",
        "development",
        &service.key,
    ];
    let canaries = Canaries::of(secrets.into_iter().chain(words.map(str::to_owned)));

    let pieces = dump(&server);
    for kind in ["key name", "string", "zset", "stream", "file"] {
        assert!(
            pieces
                .iter()
                .any(|(name, bytes)| name.starts_with(kind) && !bytes.is_empty()),
            "no {kind} was read"
        );
    }
    let written = pieces
        .iter()
        .find(|(name, _)| name.starts_with("file") && name.ends_with(".incr.aof"))
        .unwrap();
    assert!(
        written.1.len() > 100_000,
        "every commit is in the file: {} bytes",
        written.1.len()
    );
    for (name, bytes) in &pieces {
        canaries.assert_absent(bytes, name);
    }
    plant(&server, &canaries);
}

/// The search finds leaks that are planted in the same dump.
fn plant(server: &RedisServer, canaries: &Canaries) {
    let hex = hex::encode("canary-payee-7");
    let leaks: [(&str, &[&str]); 4] = [
        (
            "canary-subject-2",
            &["SET", "planted:canary-subject-2", "x"],
        ),
        ("canary-payee-7", &["SET", "planted:value", &hex]),
        (
            "canary-address-3@recipient.example",
            &[
                "ZADD",
                "planted:due",
                "1",
                "canary-address-3@recipient.example",
            ],
        ),
        (
            BRAND,
            &[
                "XADD",
                "planted:events",
                "*",
                "e",
                "Canary Brand says hello",
            ],
        ),
    ];
    for (secret, leak) in leaks {
        server.cmd(leak).ok();
        let pieces = dump(server);
        let found = |place: &str| {
            pieces.iter().any(|(name, bytes)| {
                name.contains(place) && canaries.in_bytes(bytes).contains(secret)
            })
        };
        assert!(found("planted:"), "{leak:?} in the keys");
        assert!(found("incr.aof"), "{leak:?} in the file");
    }
}
