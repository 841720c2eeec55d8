//! Two processes on one Redis: shared limits, one approval, one delivery, no leader.

use std::{path::PathBuf, time::Duration};

use countersign::pb::v1::{self, Verdict, VerificationStatus};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::{
    harness::http::get,
    harness::{
        Client, PATIENCE,
        binary::{Process, borrowed, mail_settings},
        check_request, login, nth_wrong, scaled, server,
        sink::{Pace, Sink, code, header},
        unique, with_key,
    },
    verification::guesses::{count, nothing_else, race_over},
};

/// Connections to each process over which the guesses are sent.
const CONNECTIONS: usize = 4;
/// The number of guesses, all wrong except one.
const GUESSES: u64 = 10_000;
const GUESS_ROUNDS: usize = scaled(1, 100);
const RIGHT_GUESSES: usize = 1000;
const RIGHT_ROUNDS: usize = scaled(3, 100);
/// Starts whose message was not sent yet when their process was killed.
const WAITING: usize = 20;
/// A watcher also reads the record five seconds after the last read; an earlier update was triggered by news.
const NEWS: Duration = Duration::from_secs(4);

/// Two processes with the same keys on one store.
struct Two {
    sink: std::sync::Arc<Sink>,
    settings: Vec<(String, String)>,
    dirs: [PathBuf; 2],
    processes: [Option<Process>; 2],
    key: String,
    _dir: TempDir,
}

impl Two {
    async fn start() -> Self {
        let (dir, sink) = (tempfile::tempdir().unwrap(), Sink::start().await);
        let mut settings = mail_settings(&sink);
        let own = [
            ("STORE__URL", server().url()),
            ("STORE__PREFIX", unique("two")),
        ];
        settings.extend(own.map(|(key, value)| (key.to_owned(), value)));
        for key in ["SHIELD__CALLS_PER_S", "SHIELD__BURST"] {
            settings.push((key.to_owned(), "1000000".to_owned()));
        }
        let dirs = ["a", "b"].map(|name| dir.path().join(name));
        std::fs::create_dir(&dirs[0]).unwrap();
        let first = Process::start(&dirs[0], &borrowed(&settings));
        let second = first.beside(&dirs[0], &dirs[1], &borrowed(&settings));
        let key = first.key.clone();
        Self {
            sink,
            settings,
            dirs,
            processes: [Some(first), Some(second)],
            key,
            _dir: dir,
        }
    }

    fn process(&self, at: usize) -> &Process {
        self.processes[at].as_ref().unwrap()
    }

    fn kill(&mut self, at: usize) {
        self.processes[at].take().unwrap().kill();
    }

    fn restart(&mut self, at: usize) {
        self.processes[at] = Some(Process::start(&self.dirs[at], &borrowed(&self.settings)));
    }

    /// Connections to both processes, alternating.
    async fn clients(&self) -> Vec<Client> {
        let mut clients = Vec::new();
        for n in 0..2 * CONNECTIONS {
            clients.push(self.process(n % 2).client().await);
        }
        clients
    }

    async fn start_at(&self, at: usize, subject: &str) -> String {
        let request = with_key(&self.key, login(subject));
        let answer = self
            .process(at)
            .client()
            .await
            .start_verification(request)
            .await
            .unwrap();
        answer.into_inner().verification.unwrap().verification_id
    }

    /// A verification and its code.
    async fn started(&self, at: usize) -> (String, String) {
        let before = self.sink.mails().len();
        let id = self.start_at(at, &unique("s")).await;
        let mails = self.sink.wait_for(before + 1).await;
        (id, code(&mails[before]))
    }

    /// The due shards that a process reports as its own.
    async fn shards(&self, at: usize) -> usize {
        let page = get(self.process(at).admin.parse().unwrap(), "/metrics").await;
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("countersign_redis_own_shards "));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }

    /// Waits until the processes have this many shards each.
    async fn share(&self, all: &[usize], fits: impl Fn(&[usize]) -> bool) {
        let shared = async {
            loop {
                let mut shards = Vec::new();
                for at in all {
                    shards.push(self.shards(*at).await);
                }
                if fits(&shards) {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, shared)
            .await
            .expect("the shards are shared");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_03_two_processes_never_give_more_verdicts_than_the_limit() {
    let two = Two::start().await;
    let clients = two.clients().await;
    for round in 0..GUESS_ROUNDS {
        let (id, code) = two.started(round % 2).await;
        let right_at = 4321 + u64::try_from(round).unwrap();
        let guess = |n| {
            if n == right_at {
                code.clone()
            } else {
                nth_wrong(&code, n)
            }
        };
        let counts = race_over(&clients, &two.key, &id, (0..GUESSES).map(guess).collect()).await;
        let judged = count(&counts, &["Wrong", "AttemptsExhausted", "Approved"]);
        assert!((1..=5).contains(&judged), "round {round}: {counts:?}");
        nothing_else(
            &counts,
            &[
                "Wrong",
                "AttemptsExhausted",
                "Approved",
                "Closed",
                "LATE_TOO_OFTEN",
                "CONTENTION",
                "ATTEMPT_TOO_EARLY",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn code_06_two_processes_approve_one_of_many_right_codes() {
    let two = Two::start().await;
    let clients = two.clients().await;
    for round in 0..RIGHT_ROUNDS {
        let (id, code) = two.started(round % 2).await;
        let counts = race_over(&clients, &two.key, &id, vec![code; RIGHT_GUESSES]).await;
        assert_eq!(
            count(&counts, &["Approved"]),
            1,
            "round {round}: {counts:?}"
        );
        nothing_else(
            &counts,
            &[
                "Approved",
                "Closed",
                "LATE_TOO_OFTEN",
                "CONTENTION",
                "ATTEMPT_TOO_EARLY",
            ],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_whichever_process_is_killed_the_other_delivers_what_waited() {
    let mut two = Two::start().await;
    let mut sent = 0;
    for victim in [0, 1] {
        two.share(&[0, 1], |own| {
            own.iter().sum::<usize>() == 64 && own.iter().all(|own| *own > 0)
        })
        .await;
        two.sink.set(Pace::Silent);
        let mut ids = Vec::new();
        for n in 0..WAITING {
            ids.push(two.start_at(victim, &format!("waits-{victim}-{n}")).await);
        }
        two.kill(victim);
        assert_eq!(
            two.sink.mails().len(),
            sent,
            "nothing went out before the kill"
        );
        two.sink.set(Pace::Prompt);
        sent += WAITING;
        let mails = two.sink.wait_for(sent).await;
        let (survivor, mut client) = (1 - victim, two.process(1 - victim).client().await);
        for id in &ids {
            let request = v1::GetVerificationRequest {
                verification_id: id.clone(),
            };
            let v = client
                .get_verification(with_key(&two.key, request))
                .await
                .unwrap()
                .into_inner()
                .verification
                .unwrap();
            assert_eq!(
                v.status(),
                VerificationStatus::Pending,
                "no verification ends with its process"
            );
        }
        let deliveries: std::collections::HashSet<_> = mails
            .iter()
            .map(|mail| header(mail, "Message-ID"))
            .collect();
        assert_eq!(
            deliveries.len(),
            sent,
            "each message once: nobody had begun to hand one over"
        );
        two.share(&[survivor], |own| own == [64]).await;
        two.restart(victim);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_at_one_process_sees_the_approval_through_the_other() {
    let two = Two::start().await;
    let (id, code) = two.started(0).await;
    let request = v1::WatchVerificationRequest {
        verification_id: id.clone(),
    };
    let watched = two
        .process(0)
        .client()
        .await
        .watch_verification(with_key(&two.key, request))
        .await;
    let mut stream = watched.unwrap().into_inner();
    let mut next = async || {
        let seen = tokio::time::timeout(PATIENCE, stream.message())
            .await
            .expect("it comes");
        seen.unwrap()
            .expect("it comes before the end")
            .verification
            .unwrap()
    };
    while next().await.deliveries[0].status() != v1::DeliveryStatus::Sent {}
    let begun = Instant::now();
    let check = with_key(&two.key, check_request(&id, &code, "right"));
    let verdict = two
        .process(1)
        .client()
        .await
        .check_code(check)
        .await
        .unwrap()
        .into_inner()
        .verdict();
    assert_eq!(verdict, Verdict::Approved);
    assert_eq!(next().await.status(), VerificationStatus::Approved);
    assert!(
        begun.elapsed() < NEWS,
        "it came as news, not by a look: {:?}",
        begun.elapsed()
    );
}
