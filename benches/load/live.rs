//! Latency on a full store against a nearly empty one, in turns.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use countersign::{
    config::Settings,
    domain::{
        crypto::keyring::Keyring,
        decide::{Context, Next, Report, Start, Work, report, start},
        delivery::{
            HandOver, Lease,
            hands::{DueDelivery, FreeHands},
        },
        ids::{
            ActionName, CallerName, DeliveryId, RequestId, SenderName, SubjectId, TenantId,
            VerificationId,
        },
        recipient::{Channel, Recipient},
        time::Now,
        verification::{binding::Binding, rules::Origin},
    },
    keys,
    ports::{
        store::{Commit, Committed, Store, Write},
        system::{Clock as _, fresh},
    },
    service::record::vault::Vault,
    system::{SystemClock, SystemEntropy},
};
use tokio::{runtime::Runtime, task::JoinSet};

use super::{
    Plan,
    bed::{Instance, redis, settings, store},
    drive::{Took, drive},
    meter::percentile,
    post::Post,
    rig::RedisServer,
};

/// The live verifications of the nearly empty store.
const FEW: u64 = 1000;
/// Commits in flight while a store is filled.
const FILLERS: u64 = 64;
/// The length of the turns of the two stores.
const TURN: Duration = Duration::from_secs(2);

/// A store with one instance on it.
struct Bed {
    name: String,
    server: RedisServer,
    instance: Instance,
    took: Took,
}

/// Measures both stores, in turns.
pub fn run(load: &Runtime, dir: &Path, many: u64, plan: &Plan) -> anyhow::Result<()> {
    let post = Arc::new(Post::default());
    let mut beds = Vec::new();
    for live in [FEW, many] {
        let server = redis();
        let settings = settings(dir, &server.url(), plan.connections)?;
        let instance = Instance::start("server", settings.clone(), &post)?;
        let empty = used(&server);
        let begun = Instant::now();
        load.block_on(fill(&settings, live))?;
        let bytes = used(&server).saturating_sub(empty);
        println!(
            "{live} live verifications, made in {:.1} s: {} bytes each, the events of each included",
            begun.elapsed().as_secs_f64(),
            bytes / live
        );
        beds.push(Bed {
            name: live.to_string(),
            server,
            instance,
            took: Took::default(),
        });
    }
    for bed in &beds {
        load.block_on(drive(
            std::slice::from_ref(&bed.instance.reach),
            &post,
            plan.clients,
            TURN,
        ))?; // warm
    }
    let turns = (plan.span.as_secs() / TURN.as_secs()).max(1);
    for _ in 0..turns {
        for bed in &mut beds {
            let took = load.block_on(drive(
                std::slice::from_ref(&bed.instance.reach),
                &post,
                plan.clients,
                TURN,
            ))?;
            bed.took.add(took);
        }
    }
    tell(&mut beds, plan.clients, TURN.as_secs_f64() * turns as f64);
    beds.into_iter().try_for_each(|bed| {
        bed.instance.stop()?;
        drop(bed.server);
        Ok(())
    })
}

fn tell(beds: &mut [Bed], clients: usize, seconds: f64) {
    println!("{clients} clients, {seconds} s each");
    println!(
        "  {:>10} {:>10} {:>24} {:>24}",
        "live", "pairs/s", "start p50, p99 (ms)", "check p50, p99 (ms)"
    );
    let mut p99s = Vec::new();
    for bed in beds {
        let rate = bed.took.checks.len() as f64 / seconds;
        let at = [&mut bed.took.starts, &mut bed.took.checks]
            .map(|times| [percentile(times, 50), percentile(times, 99)]);
        println!(
            "  {:>10} {rate:>10.0} {:>12.2} {:>11.2} {:>12.2} {:>11.2}",
            bed.name, at[0][0], at[0][1], at[1][0], at[1][1]
        );
        p99s.push([at[0][1], at[1][1]]);
    }
    if let [few, many] = &p99s[..] {
        println!(
            "  p99 of start {:.2} times, of check {:.2} times that of the few",
            many[0] / few[0],
            many[1] / few[1]
        );
    }
}

fn used(server: &RedisServer) -> u64 {
    server
        .info("used_memory")
        .and_then(|bytes| bytes.parse().ok())
        .unwrap_or_default()
}

/// Writes live verifications whose message was sent, in the same way as the service, but without calls over gRPC.
async fn fill(settings: &Settings, live: u64) -> anyhow::Result<()> {
    let entropy = Arc::new(SystemEntropy::default());
    let keyring = Arc::new(keys::load(settings)?);
    let filler = Arc::new(Filler {
        store: store(settings).await?,
        vault: Vault::new(keyring.clone(), entropy.clone()),
        settings: settings.clone(),
        clock: SystemClock::new(),
        keyring,
        entropy,
    });
    let mut fillers = JoinSet::new();
    for first in 0..FILLERS {
        let filler = filler.clone();
        fillers.spawn(async move {
            for number in (first..live).step_by(usize::try_from(FILLERS)?) {
                filler.one(number).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    Ok(())
}

struct Filler {
    store: Arc<dyn Store>,
    vault: Vault,
    settings: Settings,
    clock: SystemClock,
    keyring: Arc<Keyring>,
    entropy: Arc<SystemEntropy>,
}

/// One free hand, with this lease.
struct OneHand(Lease);

impl FreeHands for OneHand {
    fn reserve(&self, _due: &DueDelivery<'_>) -> Option<Lease> {
        Some(self.0)
    }
}

impl Filler {
    #[expect(clippy::too_many_lines, reason = "one measurement, step by step")]
    async fn one(&self, number: u64) -> anyhow::Result<()> {
        let subject = SubjectId::parse(&format!("f{number}"))?;
        let tenant = TenantId::parse("default")?;
        let key = self.keyring.subject_key(&tenant, &subject);
        let loaded = self.store.load(&key.into()).await?;
        let cx = Context {
            now: Now::new(self.clock.now(), loaded.now),
            generation: loaded.generation,
            forgot_at: loaded.forgot_at,
            refused: None,
            keyring: &self.keyring,
            rules: &self.settings.subject,
            tests: &self.settings.test_recipients,
        };
        let command = self.command(tenant, subject, key)?;
        let hand = OneHand(Lease {
            token: fresh(&*self.entropy),
            until: cx.now.stamp().plus(Duration::from_secs(15)),
        });
        let work = Work {
            verification: command.id,
            delivery: command.delivery,
            token: hand.0.token,
        };
        let started = start(None, &command, &hand, &cx);
        let Next::Write(record, durability) = started.next else {
            anyhow::bail!("it starts")
        };
        let sent = report(
            Some(*record),
            &Report {
                work,
                sender: Some(SenderName::parse("outbox")?),
                outcome: HandOver::Taken { reference: None },
            },
            &hand,
            &cx,
        );
        let Next::Write(record, _) = sent.next else {
            anyhow::bail!("it is sent")
        };
        let events = [started.events, sent.events].concat();
        let record = record.stamped(&events, cx.now.stamp());
        let (wake_at, keep_until) = (
            record.wake_at(cx.now, cx.rules),
            record.keep_until(cx.rules),
        );
        let write = Write::Put {
            blob: self.vault.close(&key, &record),
            wake_at,
            keep_until,
        };
        let events = events
            .iter()
            .map(|event| {
                self.vault
                    .close_event(&key, Some(&record.event_salt), event)
            })
            .collect();
        let commit = Commit {
            key: key.into(),
            expect: None,
            generation: loaded.generation,
            write,
            events,
            durability,
        };
        anyhow::ensure!(
            self.store.commit(commit).await? == Committed::Done,
            "it is new"
        );
        Ok(())
    }

    fn command(
        &self,
        tenant: TenantId,
        subject: SubjectId,
        key: countersign::domain::ids::SubjectKey,
    ) -> anyhow::Result<Start> {
        let action = ActionName::parse("login")?;
        let limits = self
            .settings
            .actions
            .get(&action)
            .map(|action| action.limits.clone());
        let caller = CallerName::parse("development")?;
        let request = RequestId::parse("r")?;
        let email = Recipient::parse(Channel::Email, "somebody.with.a.name@example.org")?;
        Ok(Start {
            request: countersign::domain::verification::RequestMark {
                id: self.keyring.mark(
                    "request",
                    &[caller.as_str().as_bytes(), request.as_str().as_bytes()],
                ),
                body: [0; 16],
            },
            tenant,
            caller,
            subject,
            action,
            origin: Origin::Vouched,
            contact: None,
            locale: None,
            recipients: vec![email],
            passed_over: Vec::new(),
            network: None,
            quota_keys: Vec::new(),
            preferred: None,
            binding: Binding::default(),
            browser: None,
            decoy: false,
            limits: limits.ok_or_else(|| anyhow::anyhow!("the settings have an action login"))?,
            id: VerificationId {
                subject: key,
                random: fresh(&*self.entropy),
            },
            delivery: DeliveryId(fresh(&*self.entropy)),
            nonce: fresh(&*self.entropy),
            event_salt: fresh(&*self.entropy),
        })
    }
}
