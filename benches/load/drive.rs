//! The clients: each has a connection to every instance and uses them in turn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use countersign::{
    app::Reach,
    pb::v1::{self, Verdict, verification_service_client::VerificationServiceClient},
};
use tonic::{Request, metadata::AsciiMetadataValue, transport::Channel};

use super::post::Post;

/// Makes the name of the next subject.
static NEXT: AtomicU64 = AtomicU64::new(0);
/// The time after which a message counts as lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// The latencies of starts and checks.
#[derive(Default)]
pub struct Took {
    pub starts: Vec<Duration>,
    pub checks: Vec<Duration>,
}

impl Took {
    pub fn add(&mut self, more: Self) {
        self.starts.extend(more.starts);
        self.checks.extend(more.checks);
    }
}

/// Starts and checks as fast as possible for this time.
pub async fn drive(
    reaches: &[Reach],
    post: &Arc<Post>,
    clients: usize,
    span: Duration,
) -> anyhow::Result<Took> {
    let end = Instant::now() + span;
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..clients {
        let (reaches, post) = (reaches.to_vec(), post.clone());
        tasks.spawn(async move { one_client(&reaches, &post, place, end).await });
    }
    let mut all = Took::default();
    while let Some(took) = tasks.join_next().await {
        all.add(took??);
    }
    Ok(all)
}

async fn one_client(
    reaches: &[Reach],
    post: &Post,
    place: usize,
    end: Instant,
) -> anyhow::Result<Took> {
    let mut caller = Caller::connect(reaches, place).await?;
    let mut took = Took::default();
    while Instant::now() < end {
        let begun = Instant::now();
        let (id, told) = caller.start(post).await?;
        took.starts.push(begun.elapsed());
        let code = tokio::time::timeout(PATIENCE, told)
            .await
            .context("no message came")??;
        let begun = Instant::now();
        caller.check(id, code).await?;
        took.checks.push(begun.elapsed());
    }
    Ok(took)
}

/// A client with its connections.
pub struct Caller {
    stubs: Vec<(VerificationServiceClient<Channel>, AsciiMetadataValue)>,
    turn: usize,
}

impl Caller {
    pub async fn connect(reaches: &[Reach], turn: usize) -> anyhow::Result<Self> {
        let mut stubs = Vec::new();
        for reach in reaches {
            let stub = VerificationServiceClient::connect(format!("http://{}", reach.grpc)).await?;
            let bearer = format!(
                "Bearer {}",
                reach.development_key.as_deref().unwrap_or_default()
            )
            .parse()?;
            stubs.push((stub, bearer));
        }
        Ok(Self { stubs, turn })
    }

    /// The next of several instances, so that a check goes to another one than its start.
    fn next<T>(&mut self, message: T) -> (&mut VerificationServiceClient<Channel>, Request<T>) {
        self.turn += 1;
        let place = self.turn % self.stubs.len();
        let (stub, bearer) = &mut self.stubs[place];
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", bearer.clone());
        (stub, request)
    }

    /// A new subject each time, because a repeat would get the first answer and no message.
    pub async fn start(
        &mut self,
        post: &Post,
    ) -> anyhow::Result<(String, tokio::sync::oneshot::Receiver<String>)> {
        let name = NEXT.fetch_add(1, Ordering::Relaxed);
        let address = format!("c{name}@example.org");
        let told = post.expect(address.clone());
        let (stub, request) = self.next(v1::StartVerificationRequest {
            subject: format!("s{name}"),
            action: "login".to_owned(),
            request_id: "r".to_owned(),
            prior_acr: "password".to_owned(),
            recipients: vec![v1::Recipient {
                channel: v1::Channel::Email.into(),
                address,
                registered_at: None,
            }],
            ..Default::default()
        });
        let answer = stub.start_verification(request).await?.into_inner();
        Ok((
            answer.verification.unwrap_or_default().verification_id,
            told,
        ))
    }

    pub async fn check(&mut self, verification_id: String, code: String) -> anyhow::Result<()> {
        let (stub, request) = self.next(v1::CheckCodeRequest {
            verification_id,
            code,
            entry_mode: v1::EntryMode::Portal.into(),
            attempt_id: "a".to_owned(),
            ..Default::default()
        });
        let answer = stub.check_code(request).await?.into_inner();
        anyhow::ensure!(
            answer.verdict() == Verdict::Approved,
            "the right code is approved"
        );
        Ok(())
    }
}
