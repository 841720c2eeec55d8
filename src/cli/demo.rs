//! `countersign demo`: a complete verification against a real service in this process, explained step by step.

use std::{os::unix::fs::DirBuilderExt as _, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::say;
use crate::{
    app::{App, Machine, Reach},
    config,
    pb::v1::{self, verification_service_client::VerificationServiceClient},
};

/// How long a message may take to reach the outbox in this process.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts a service, plays the conversation with it, and stops it.
pub(super) fn run() -> anyhow::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .ok();
    let dir = TemporaryDir::new()?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async {
        let app = App::build(settings(&dir.0)?, Machine::default()).await?;
        let reach = app.reach()?;
        let served = tokio::spawn(app.serve());
        let played = Conversation::begin(&reach).await?.play().await;
        reach.shutdown.cancel();
        served.await.context("the service ended with a panic")??;
        played
    })
}

/// The settings of a temporary service: store in memory, free ports, nothing left behind.
fn settings(dir: &Path) -> anyhow::Result<config::Settings> {
    let dir = dir
        .to_str()
        .context("the temporary directory has no printable name")?;
    let own = [
        ("COUNTERSIGN__DATA_DIR", dir),
        ("COUNTERSIGN__STORE__URL", "embedded:"),
        ("COUNTERSIGN__GRPC__LISTEN", "127.0.0.1:0"),
        ("COUNTERSIGN__HTTP__LISTEN", "127.0.0.1:0"),
        ("COUNTERSIGN__ADMIN__LISTEN", "127.0.0.1:0"),
    ];
    config::load(
        None,
        own.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
    )
    .map_err(|mistakes| anyhow::anyhow!("{mistakes}"))
}

/// A directory that is deleted when it is dropped.
struct TemporaryDir(std::path::PathBuf);

impl TemporaryDir {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("countersign-demo-{}", std::process::id()));
        // Not one that exists: keys go into it, and whoever made it could read them.
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Conversation<'a> {
    reach: &'a Reach,
    client: VerificationServiceClient<Channel>,
    key: MetadataValue<tonic::metadata::Ascii>,
    step: u32,
}

impl<'a> Conversation<'a> {
    async fn begin(reach: &'a Reach) -> anyhow::Result<Self> {
        let key = reach
            .development_key
            .as_ref()
            .context("the development profile has a key")?;
        let key = format!("Bearer {key}")
            .parse()
            .context("the key fits a header")?;
        let client = VerificationServiceClient::connect(format!("http://{}", reach.grpc))
            .await
            .context("cannot connect")?;
        Ok(Self {
            reach,
            client,
            key,
            step: 0,
        })
    }

    fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", self.key.clone());
        request
    }

    fn tell(&mut self, what: &str) {
        self.step += 1;
        say(&format!("\n{}. {what}", self.step));
    }

    async fn play(mut self) -> anyhow::Result<()> {
        say(
            "A customer wants to pay 100.00 EUR to ACME. The payment service asks Countersign for proof first.",
        );
        let verification = self.start().await?;
        let code = self.read_code().await?;
        self.guess_wrong(&verification, &code).await?;
        self.guess_right(&verification, &code).await?;
        self.guess_again(&verification, &code).await?;
        say(
            "\nThat was a complete verification. `countersign` alone starts a service that stays; its output has commands to copy.",
        );
        Ok(())
    }

    async fn start(&mut self) -> anyhow::Result<String> {
        self.tell("StartVerification: who (subject), what for (action), what exactly (binding), where to reach them.");
        let binding = [("amount", "100.00 EUR"), ("payee", "ACME")];
        let request = v1::StartVerificationRequest {
            subject: "customer-1".to_owned(),
            action: "payment".to_owned(),
            request_id: "demo-start".to_owned(),
            recipients: vec![v1::Recipient {
                channel: v1::Channel::Email.into(),
                address: "anna@example.org".to_owned(),
                registered_at: None,
            }],
            binding: binding
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Default::default()
        };
        let answer = self
            .client
            .start_verification(self.call(request))
            .await?
            .into_inner();
        let v = answer
            .verification
            .context("a start answers with a verification")?;
        say(&format!(
            "   -> {} {:?}, sent to {}, {} attempts",
            v.verification_id,
            v.status(),
            v.masked_recipient,
            v.attempts_left
        ));
        say("   The address is masked in every answer, and no answer ever holds the code.");
        Ok(v.verification_id)
    }

    async fn read_code(&mut self) -> anyhow::Result<String> {
        self.tell("The customer reads the message. Here it is in the development outbox:");
        let outbox = self
            .reach
            .outbox
            .clone()
            .context("the development profile has an outbox")?;
        let arrive = async {
            loop {
                if let Some(letter) = outbox.list().into_iter().next() {
                    return letter;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let letter = tokio::time::timeout(PATIENCE, arrive)
            .await
            .context("no message arrived")?;
        for line in letter.message.content.text.lines() {
            say(&format!("   | {line}"));
        }
        Ok(letter.message.code.expose().to_owned())
    }

    async fn check(
        &mut self,
        verification: &str,
        code: &str,
        attempt: &str,
    ) -> anyhow::Result<v1::CheckCodeResponse> {
        let request = v1::CheckCodeRequest {
            verification_id: verification.to_owned(),
            code: code.to_owned(),
            entry_mode: v1::EntryMode::Portal.into(),
            attempt_id: attempt.to_owned(),
            ..Default::default()
        };
        let answer = self
            .client
            .check_code(self.call(request))
            .await?
            .into_inner();
        say(&format!(
            "   -> {:?}, {} attempts left",
            answer.verdict(),
            answer.attempts_left
        ));
        Ok(answer)
    }

    async fn guess_wrong(&mut self, verification: &str, code: &str) -> anyhow::Result<()> {
        self.tell("CheckCode with a wrong code. That is an answer with a verdict, not an error.");
        let wrong = if code == "000000" { "000001" } else { "000000" };
        let first = self.check(verification, wrong, "demo-1").await?;
        self.tell("The reply was lost, so the caller repeats it with the same attempt_id: same verdict, no second attempt.");
        let repeat = self.check(verification, wrong, "demo-1").await?;
        if first.attempts_left != repeat.attempts_left {
            bail!("the repeat took an attempt");
        }
        Ok(())
    }

    async fn guess_right(&mut self, verification: &str, code: &str) -> anyhow::Result<()> {
        self.tell("CheckCode with the right code.");
        let answer = self.check(verification, code, "demo-2").await?;
        if answer.verdict() != v1::Verdict::Approved {
            bail!("the right code was not approved");
        }
        Ok(())
    }

    async fn guess_again(&mut self, verification: &str, code: &str) -> anyhow::Result<()> {
        self.tell("The same code once more. A code approves once, whatever races for it.");
        let answer = self.check(verification, code, "demo-3").await?;
        if answer.verdict() != v1::Verdict::Closed {
            bail!("a spent code was not refused");
        }
        Ok(())
    }
}
