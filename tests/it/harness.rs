//! Starts the whole service in this process and calls it as a caller does.

pub(super) mod binary;
pub(super) mod canary;
pub(super) mod centre;
pub(super) mod http;
pub(super) mod kannel;
pub(super) mod provider;
pub(super) mod sink;
pub(super) mod suspended;

use std::{
    collections::VecDeque,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign::{
    app::{App, Machine, Reach},
    config,
    domain::{
        ids::{ProviderReference, SenderName},
        limit::quota::Dimension,
        recipient,
        time::Timestamp,
    },
    pb::v1::{self, verification_service_client::VerificationServiceClient},
    ports::{
        sender::{Capabilities, Message, ReceiptPath, SendError, Sender, Sent},
        system::Clock,
    },
    service::record::vault::Line,
    system::{ManualClock, SystemEntropy},
};
use tokio::sync::watch;
use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};
use tonic_types::StatusExt;

use crate::{
    harness::binary::no_quotas,
    rig::{self, RedisServer},
};

pub type Client = VerificationServiceClient<Channel>;

/// A number of rounds, guesses or kills: reduced here, in full in the campaign (see `tests/campaign`).
pub const fn scaled(here: usize, campaign: usize) -> usize {
    if option_env!("COUNTERSIGN_CAMPAIGN").is_some() {
        campaign
    } else {
        here
    }
}

/// The time limit for work in other tasks; reached only on failure.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Too short for any rule of the service, but enough to wake its sweep.
pub const A_BIT: Duration = Duration::from_millis(10);

/// A sender that records every message and answers as configured.
#[derive(Default)]
pub struct Recorder {
    messages: Mutex<Vec<Message>>,
    answers: Mutex<VecDeque<SendError>>,
    count: watch::Sender<usize>,
    silent_on: Mutex<Option<recipient::Channel>>,
    by_reference: AtomicBool,
}

#[async_trait]
impl Sender for Recorder {
    async fn send(&self, message: &Message) -> Result<Sent, SendError> {
        let answer = self.answers.lock().unwrap().pop_front();
        self.messages.lock().unwrap().push(message.clone());
        self.count.send_modify(|count| *count += 1);
        if *self.silent_on.lock().unwrap() == Some(message.recipient.channel()) {
            std::future::pending::<()>().await;
        }
        let reference = self
            .by_reference
            .load(Ordering::Relaxed)
            .then(|| reference(message));
        let sent = Sent {
            reference,
            ..Sent::default()
        };
        answer.map_or(Ok(sent), Err)
    }

    fn capabilities(&self) -> Capabilities {
        let by_reference = self.by_reference.load(Ordering::Relaxed);
        let receipts = if by_reference {
            ReceiptPath::ByReference
        } else {
            ReceiptPath::ByToken
        };
        Capabilities {
            receipts,
            ..Capabilities::default()
        }
    }
}

/// The name of a sender in the settings.
pub fn sender_name(text: &str) -> SenderName {
    SenderName::parse(text).unwrap()
}

/// The reference that a recorder gives to a message.
pub fn reference(message: &Message) -> ProviderReference {
    ProviderReference::parse(&format!("their-{}", message.delivery)).unwrap()
}

impl Recorder {
    /// Messages on this channel are accepted but never answered.
    pub fn fall_silent_on(&self, channel: recipient::Channel) {
        *self.silent_on.lock().unwrap() = Some(channel);
    }

    /// Receipts name the message by the reference of this sender and carry no token.
    pub fn name_messages(&self) {
        self.by_reference.store(true, Ordering::Relaxed);
    }

    /// The next messages get these answers; all others are accepted.
    pub fn answer_with(&self, answers: impl IntoIterator<Item = SendError>) {
        self.answers.lock().unwrap().extend(answers);
    }

    pub fn all(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// The code of a verification, if its message was handed over.
    pub fn find_code(&self, id: &str) -> Option<String> {
        let messages = self.messages.lock().unwrap();
        messages
            .iter()
            .find(|message| message.verification.to_string() == id)
            .map(|message| message.code.expose().to_owned())
    }

    pub async fn wait_for(&self, count: usize) -> Vec<Message> {
        let mut counts = self.count.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, counts.wait_for(|have| *have >= count)).await;
        arrived
            .expect("the messages arrive")
            .expect("the recorder lives");
        self.all()
    }
}

pub struct Harness {
    pub reach: Reach,
    pub clock: Arc<ManualClock>,
    pub recorder: Arc<Recorder>,
    pub client: Client,
    served: Option<tokio::task::JoinHandle<anyhow::Result<()>>>,
    _dir: Arc<tempfile::TempDir>,
    pub key: String,
}

/// The differences from the development profile: settings as `SECTION__KEY` and value.
pub struct Setup {
    pub settings: Vec<(String, String)>,
    pub file: String,
    pub dir: Arc<tempfile::TempDir>,
    pub clock: Arc<ManualClock>,
    /// Whether quotas that the settings do not mention apply. Only some tests need them.
    pub quotas: bool,
}

/// Whether the suite runs on Redis (`COUNTERSIGN_TEST_STORE=redis`; tests/run does both).
pub fn on_redis() -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one switch of the suite, and no setting of the service"
    )]
    static ON_REDIS: LazyLock<bool> =
        LazyLock::new(
            || match std::env::var("COUNTERSIGN_TEST_STORE").as_deref() {
                Ok("redis") => true,
                Ok("") | Err(_) => false,
                Ok(other) => panic!("COUNTERSIGN_TEST_STORE={other} is neither empty nor redis"),
            },
        );
    *ON_REDIS
}

/// The server that is shared by all tests without special needs; each uses its own key prefix.
pub fn server() -> &'static RedisServer {
    static SERVER: LazyLock<RedisServer> =
        LazyLock::new(|| RedisServer::start(&rig::Options::default()));
    &SERVER
}

/// Settings of a store in memory, or on Redis.
fn store_settings() -> Vec<(String, String)> {
    let own = |key: &str, value: String| (key.to_owned(), value);
    if on_redis() {
        vec![
            own("STORE__URL", server().url()),
            own("STORE__PREFIX", unique("it")),
        ]
    } else {
        vec![own("STORE__URL", "embedded:".to_owned())]
    }
}

impl Default for Setup {
    fn default() -> Self {
        let start = Timestamp::from_micros(1_800_000_000_000_000);
        Self {
            settings: store_settings(),
            file: String::new(),
            dir: Arc::new(tempfile::tempdir().unwrap()),
            clock: Arc::new(ManualClock::new(start)),
            quotas: false,
        }
    }
}

impl Setup {
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn file(mut self, text: &str) -> Self {
        self.file.push_str(text);
        self
    }

    /// Uses the quotas of production, which the development profile raises.
    pub fn quotas(mut self) -> Self {
        self.quotas = true;
        self
    }

    /// Sets this quota.
    pub fn quota(self, dimension: Dimension, count: u32, period_s: u32) -> Self {
        let name = dimension.as_str().to_uppercase();
        let set = self.with(&format!("QUOTAS__{name}__COUNT"), &count.to_string());
        set.with(&format!("QUOTAS__{name}__PERIOD_S"), &period_s.to_string())
    }

    /// Uses a store on disk instead of in memory.
    pub fn durable(mut self) -> Self {
        self.settings.retain(|(key, _)| key != "STORE__URL");
        self
    }

    /// Uses a separate Redis server.
    pub fn on(mut self, server: &RedisServer) -> Self {
        self.settings
            .retain(|(key, _)| key != "STORE__URL" && key != "STORE__PREFIX");
        self.with("STORE__URL", &server.url())
    }

    pub async fn start(&self) -> Harness {
        self.start_on(Machine {
            clock: self.clock.clone(),
            ..Machine::default()
        })
        .await
    }

    pub async fn start_on(&self, machine: Machine) -> Harness {
        // The manual clock replaces that of the Redis servers.
        let store_clock = machine
            .store_clock
            .clone()
            .or_else(|| Some(self.clock.clone() as Arc<dyn Clock>));
        self.try_start_on(Machine {
            store_clock,
            ..machine
        })
        .await
        .expect("the app can be made")
    }

    /// Starts without replacing the store's clock: without one in `machine`, Redis servers use their own.
    pub async fn try_start_on(&self, machine: Machine) -> anyhow::Result<Harness> {
        let recorder = Arc::new(Recorder::default());
        let mut senders = machine.senders.clone();
        senders.insert("outbox".to_owned(), recorder.clone() as Arc<dyn Sender>);
        let entropy = Arc::new(SystemEntropy::default());
        let machine = Machine {
            senders,
            entropy,
            ..machine
        };
        let app = App::build(self.settings(), machine).await?;
        let reach = app.reach().unwrap();
        let served = tokio::spawn(app.serve());
        let key = reach
            .development_key
            .clone()
            .expect("development has a key");
        let client = connect(&reach).await;
        Ok(Harness {
            reach,
            clock: self.clock.clone(),
            recorder,
            client,
            served: Some(served),
            _dir: self.dir.clone(),
            key,
        })
    }

    pub fn settings(&self) -> config::Settings {
        let dir = self.dir.path();
        let file = dir.join("settings.toml");
        std::fs::write(&file, &self.file).unwrap();
        let own = [
            ("DATA_DIR", dir.join("data").to_str().unwrap().to_owned()),
            ("GRPC__LISTEN", "127.0.0.1:0".to_owned()),
            ("HTTP__LISTEN", "127.0.0.1:0".to_owned()),
            ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
            // Load on the machine must not look like a failure of the store.
            ("STORE__DEADLINE_MS", "10000".to_owned()),
            ("SHIELD__CALLS_PER_S", "1000000".to_owned()),
            ("SHIELD__BURST", "1000000".to_owned()),
        ];
        let quotas: Vec<_> = if self.quotas {
            production_quotas().collect()
        } else {
            no_quotas().collect()
        };
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        let all = quotas.into_iter().chain(own).chain(self.settings.clone());
        let env = all.map(|(key, value)| (format!("COUNTERSIGN__{key}"), value));
        config::load(Some(&file), env).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
}

/// The counts of the default settings; the periods are the same in every profile.
fn production_quotas() -> impl Iterator<Item = (String, String)> {
    let text = include_str!("../../src/config/default.toml");
    let defaults = ::config::Config::builder()
        .add_source(::config::File::from_str(text, ::config::FileFormat::Toml));
    let defaults = defaults.build().expect("the default settings are TOML");
    no_quotas().map(move |(key, _)| {
        let path = key.to_lowercase().replace("__", ".");
        let count = defaults
            .get_string(&path)
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        (key, count)
    })
}

pub async fn connect(reach: &Reach) -> Client {
    VerificationServiceClient::new(connect_channel(reach).await)
}

pub async fn connect_channel(reach: &Reach) -> Channel {
    let address = Channel::from_shared(format!("http://{}", reach.grpc));
    let connected = address.expect("it is an address").connect().await;
    connected.expect("the service accepts")
}

/// A fresh id for a request or an attempt.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn with_key<T>(key: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {key}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

impl Harness {
    pub async fn new() -> Self {
        Setup::default().start().await
    }

    pub fn request<T>(&self, message: T) -> Request<T> {
        with_key(&self.key, message)
    }

    pub async fn start(
        &self,
        request: v1::StartVerificationRequest,
    ) -> Result<v1::Verification, Status> {
        let answer = self
            .client
            .clone()
            .start_verification(self.request(request))
            .await?;
        Ok(answer
            .into_inner()
            .verification
            .expect("a start answers with a verification"))
    }

    /// Starts a verification and waits for its message; returns the verification and its code.
    pub async fn start_and_read(
        &self,
        request: v1::StartVerificationRequest,
    ) -> (v1::Verification, String) {
        let verification = self.start(request).await.expect("the start is taken");
        let code = self.code_of(&verification.verification_id).await;
        (verification, code)
    }

    /// Waits for the message of a verification; returns the code.
    pub async fn code_of(&self, id: &str) -> String {
        let mut counts = self.recorder.count.subscribe();
        let find = async {
            loop {
                if let Some(code) = self.recorder.find_code(id) {
                    return code;
                }
                counts.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, find)
            .await
            .expect("the message arrives")
    }

    pub async fn try_check(
        &self,
        id: &str,
        code: &str,
        attempt: &str,
    ) -> Result<v1::CheckCodeResponse, Status> {
        let request = check_request(id, code, attempt);
        Ok(self
            .client
            .clone()
            .check_code(self.request(request))
            .await?
            .into_inner())
    }

    pub async fn check(&self, id: &str, code: &str) -> v1::Verdict {
        self.try_check(id, code, &unique("attempt"))
            .await
            .expect("the guess is judged")
            .verdict()
    }

    pub async fn get(&self, id: &str) -> Result<v1::Verification, Status> {
        let request = v1::GetVerificationRequest {
            verification_id: id.to_owned(),
        };
        let answer = self
            .client
            .clone()
            .get_verification(self.request(request))
            .await?;
        Ok(answer.into_inner().verification.unwrap())
    }

    pub async fn try_resend(
        &self,
        id: &str,
        channel: v1::Channel,
    ) -> Result<v1::Verification, Status> {
        let (verification_id, request_id) = (id.to_owned(), unique("resend"));
        let request = v1::ResendCodeRequest {
            verification_id,
            request_id,
            channel: channel.into(),
        };
        Ok(self
            .client
            .clone()
            .resend_code(self.request(request))
            .await?
            .into_inner()
            .verification
            .unwrap())
    }

    pub async fn try_cancel(
        &self,
        id: &str,
        reason: v1::CancelReason,
    ) -> Result<v1::Verification, Status> {
        let request = v1::CancelVerificationRequest {
            verification_id: id.to_owned(),
            reason: reason.into(),
        };
        Ok(self
            .client
            .clone()
            .cancel_verification(self.request(request))
            .await?
            .into_inner()
            .verification
            .unwrap())
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Advances the clock and lets the tasks of the service run, as long as an answer of the store takes: a loop that
    /// moves time must not run ahead of a service on a busy machine.
    pub async fn pass(&self, span: Duration) {
        self.clock.advance(span);
        let answer = Duration::from_millis(if on_redis() { 10 } else { 1 });
        tokio::time::sleep(answer).await;
    }

    /// Waits, on the watch stream, until a verification meets a condition.
    pub async fn until(
        &self,
        id: &str,
        wanted: impl Fn(&v1::Verification) -> bool,
    ) -> v1::Verification {
        let request = v1::WatchVerificationRequest {
            verification_id: id.to_owned(),
        };
        let mut stream = self
            .client
            .clone()
            .watch_verification(self.request(request))
            .await
            .unwrap()
            .into_inner();
        let find = async {
            loop {
                let seen = stream
                    .message()
                    .await
                    .unwrap()
                    .expect("it comes before the end")
                    .verification
                    .unwrap();
                if wanted(&seen) {
                    return seen;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find)
            .await
            .expect("it comes")
    }

    /// All readable lines of the audit trail.
    pub async fn audit(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for shard in 0..self.reach.service.audit_shards() {
            lines.extend(self.reach.service.audit(shard, 0, 100_000).await.unwrap());
        }
        let mut lines: Vec<_> = lines.into_iter().filter_map(|(_, line)| line).collect();
        // The events of one shard are in order already; a stable sort keeps that.
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// Shuts down gracefully.
    pub async fn stop(mut self) {
        self.reach.shutdown.cancel();
        let served = self.served.take().unwrap();
        tokio::time::timeout(PATIENCE, served)
            .await
            .expect("it drains")
            .unwrap()
            .unwrap();
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.reach.shutdown.cancel();
    }
}

pub fn check_request(id: &str, code: &str, attempt: &str) -> v1::CheckCodeRequest {
    v1::CheckCodeRequest {
        verification_id: id.to_owned(),
        code: code.to_owned(),
        entry_mode: v1::EntryMode::Portal.into(),
        attempt_id: attempt.to_owned(),
        ..Default::default()
    }
}

pub fn recipient(channel: v1::Channel, address: &str) -> v1::Recipient {
    v1::Recipient {
        channel: channel.into(),
        address: address.to_owned(),
        registered_at: None,
    }
}

/// A valid, vouched start.
pub fn login(subject: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        subject: subject.to_owned(),
        action: "login".to_owned(),
        recipients: vec![recipient(v1::Channel::Email, "anna@example.org")],
        request_id: unique("start"),
        prior_acr: "password".to_owned(),
        ..Default::default()
    }
}

/// The same, but anonymous.
pub fn anonymous(subject: &str) -> v1::StartVerificationRequest {
    v1::StartVerificationRequest {
        prior_acr: String::new(),
        ..login(subject)
    }
}

/// The same, on another contact.
pub fn on_contact(
    request: v1::StartVerificationRequest,
    contact: &str,
) -> v1::StartVerificationRequest {
    let contact = v1::Contact {
        contact_id: contact.to_owned(),
        ..Default::default()
    };
    v1::StartVerificationRequest {
        contact: Some(contact),
        ..request
    }
}

/// A code that differs from this one.
pub fn wrong(code: &str) -> String {
    nth_wrong(code, 0)
}

/// Different codes, all wrong.
pub fn nth_wrong(code: &str, n: u64) -> String {
    let width = code.len();
    let modulus = 10_u64.pow(u32::try_from(width).unwrap());
    format!(
        "{:0width$}",
        (code.parse::<u64>().unwrap() + 1 + n) % modulus
    )
}

/// The reason of an error.
pub fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// The quota that an error names.
pub fn quota(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.and_then(|info| info.metadata.get("quota").cloned())
        .unwrap_or_default()
}

/// The wait that an error names.
pub fn retry_after(status: &Status) -> Option<Duration> {
    status
        .get_details_retry_info()
        .and_then(|info| info.retry_delay)
}

/// The fields that an error names.
pub fn fields(status: &Status) -> Vec<String> {
    let request = status.get_details_bad_request();
    request
        .map(|request| {
            request
                .field_violations
                .into_iter()
                .map(|v| v.field)
                .collect()
        })
        .unwrap_or_default()
}

/// The gRPC code and the reason of an error, to compare both at once.
pub fn shape<T>(answer: Result<T, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), reason(&status)),
    }
}
