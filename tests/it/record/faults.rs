//! A store that is down, hangs or loses replies: no verdict without its commit, and no repeat that counts twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign::{
    app::Machine,
    domain::{
        ids::SenderName,
        limit::quota::Dimension,
        record::{
            key::{RecordKey, RecordKind},
            side::SideKind,
        },
        time::{Generation, Timestamp},
    },
    pb::v1::{self, Verdict, VerificationStatus},
    ports::store::{
        Commit, Committed, Draw, Drawn, Due, Loaded, News, Retention, Return, ScanCursor, ScanPage,
        SealedEvent, Store, StoreError, StoredEvent, Token, Trimmed,
    },
    service::record::vault::Line,
    store::embedded::memory::Memory,
    system::{ManualClock, SystemEntropy},
};
use tokio::sync::Notify;
use tonic::Code;

use crate::harness::{
    Harness, PATIENCE, Setup, login, quota, reason, recipient, retry_after, shape, unique, wrong,
};

/// The fault of the store.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Fault {
    None,
    /// It refuses all operations.
    Down,
    /// It never answers.
    Hangs,
    /// Commits, then stops answering.
    LosesReplies,
    /// Every commit conflicts with another one.
    Contended,
    /// It has no room for another change.
    Full,
    /// Draws from quotas are refused; records work.
    NoQuotas,
    /// Draws from quotas are never answered; records work.
    QuotasHang,
    /// It reports due records once, so late that a verification has ended in the meantime.
    Dawdles,
    /// It fails over after the next commit, which changes its generation.
    FailsOverNext,
    FailedOver,
    /// An event that is appended waits for [`Flaky::go_on`].
    AppendsWait,
    /// A read of the failed guesses of a caller or tenant waits for [`Flaky::go_on`].
    TalliesWait,
}

/// The generation after the failover.
const ANOTHER: Generation = Generation([0xfa; 16]);

struct Flaky {
    inner: Memory,
    clock: Arc<ManualClock>,
    fault: AtomicU8,
    draws: AtomicUsize,
    /// Told when something begins to wait, and when it may go on.
    waits: Notify,
    goes_on: Notify,
}

impl Flaky {
    fn new(setup: &Setup) -> Arc<Self> {
        let inner = Memory::new(setup.clock.clone(), &SystemEntropy::default());
        let clock = setup.clock.clone();
        Arc::new(Self {
            inner,
            clock,
            fault: AtomicU8::new(Fault::None as u8),
            draws: AtomicUsize::new(0),
            waits: Notify::new(),
            goes_on: Notify::new(),
        })
    }

    /// Waits for [`Self::go_on`] while this fault is set.
    async fn pause_if(&self, fault: Fault) {
        if self.has(fault) {
            let goes_on = self.goes_on.notified();
            self.waits.notify_one();
            goes_on.await;
        }
    }

    /// Ends the fault, and lets what waits go on.
    fn go_on(&self) {
        self.set(Fault::None);
        self.goes_on.notify_waiters();
    }

    fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }

    async fn gate(&self) -> Result<(), StoreError> {
        if self.has(Fault::Hangs) {
            std::future::pending::<()>().await;
        }
        if self.has(Fault::Down) {
            Err(StoreError::Unavailable("down".to_owned()))
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Store for Flaky {
    async fn load(&self, key: &RecordKey) -> Result<Loaded, StoreError> {
        self.gate().await?;
        if key.kind == RecordKind::Side(SideKind::Tally) {
            self.pause_if(Fault::TalliesWait).await;
        }
        let loaded = self.inner.load(key).await?;
        let generation = if self.has(Fault::FailedOver) {
            ANOTHER
        } else {
            loaded.generation
        };
        Ok(Loaded {
            generation,
            ..loaded
        })
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.gate().await?;
        if self.has(Fault::Contended) {
            return Ok(Committed::Conflict);
        }
        if self.has(Fault::Full) {
            return Err(StoreError::Full);
        }
        let generation = self.inner.load(&commit.key).await?.generation;
        let committed = self
            .inner
            .commit(Commit {
                generation,
                ..commit
            })
            .await?;
        if self.has(Fault::FailsOverNext) {
            self.set(Fault::FailedOver);
        }
        if self.has(Fault::LosesReplies) {
            // From here on the connection is lost, so a load cannot find out what was committed.
            self.set(Fault::Down);
            return Err(StoreError::Unavailable("reply lost".to_owned()));
        }
        Ok(committed)
    }

    async fn postpone(
        &self,
        key: &RecordKey,
        expect: Option<Token>,
        until: Timestamp,
    ) -> Result<Committed, StoreError> {
        self.gate().await?;
        self.inner.postpone(key, expect, until).await
    }

    async fn scan(&self, from: &ScanCursor, limit: usize) -> Result<ScanPage, StoreError> {
        self.gate().await?;
        self.inner.scan(from, limit).await
    }

    async fn due(&self, limit: usize) -> Result<Due, StoreError> {
        self.gate().await?;
        let due = self.inner.due(limit).await;
        if self.has(Fault::Dawdles) {
            self.set(Fault::None);
            self.clock.advance(Duration::from_secs(303));
        }
        due
    }

    async fn draw(&self, draws: &[Draw]) -> Result<Drawn, StoreError> {
        self.gate().await?;
        self.draws.fetch_add(1, Ordering::SeqCst);
        if self.has(Fault::QuotasHang) {
            std::future::pending::<()>().await;
        }
        if self.has(Fault::NoQuotas) {
            return Err(StoreError::Unavailable("no quotas".to_owned()));
        }
        self.inner.draw(draws).await
    }

    async fn give_back(&self, returns: &[Return]) -> Result<(), StoreError> {
        self.gate().await?;
        self.inner.give_back(returns).await
    }

    async fn watch(&self, key: &RecordKey) -> Result<News, StoreError> {
        self.inner.watch(key).await
    }

    async fn append(&self, key: &RecordKey, event: SealedEvent) -> Result<(), StoreError> {
        self.pause_if(Fault::AppendsWait).await;
        self.inner.append(key, event).await
    }

    async fn events(
        &self,
        shard: u16,
        after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.inner.events(shard, after, limit).await
    }

    async fn cursor_before(&self, shard: u16, at: Timestamp) -> Result<u64, StoreError> {
        self.inner.cursor_before(shard, at).await
    }

    async fn trim_events(&self, keep: Retention) -> Result<Trimmed, StoreError> {
        self.inner.trim_events(keep).await
    }
}

async fn start(setup: Setup) -> (Harness, Arc<Flaky>) {
    // A sweep that meets the fault is not what this test is about.
    let setup = setup.with("WORKER__POLL_MS", "60000");
    let store = Flaky::new(&setup);
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    (setup.start_on(machine).await, store)
}

/// A started verification whose delivery is reported, so that only the test changes its record.
async fn settled(service: &Harness) -> (v1::Verification, String) {
    let (v, code) = service.start_and_read(login("s")).await;
    let v = service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    (v, code)
}

#[tokio::test]
async fn store_16_a_store_that_is_down_gives_no_verdict_and_comes_back() {
    let (service, store) = start(Setup::default()).await;
    let (v, code) = settled(&service).await;
    store.set(Fault::Down);
    let down = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
    assert_eq!(
        shape(service.try_check(&v.verification_id, &code, "a").await),
        down
    );
    assert_eq!(shape(service.start(login("t")).await), down);
    assert_eq!(shape(service.get(&v.verification_id).await), down);
    assert_eq!(
        shape(service.try_check(&v.verification_id, "no code", "m").await),
        down,
        "no quota, no answer"
    );
    assert!(
        crate::harness::http::get(service.reach.admin, "/readyz")
            .await
            .starts_with("HTTP/1.1 503")
    );
    store.set(Fault::None);
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
}

#[tokio::test]
async fn store_05_after_a_failover_a_leased_message_whose_code_is_dead_does_not_go_out() {
    let (service, store) = start(Setup::default()).await;
    store.set(Fault::FailsOverNext);
    let v = service.start(login("s")).await.unwrap();
    // The hands have finished with it when they accept other work.
    store.set(Fault::FailedOver);
    let next = service.start(login("t")).await.unwrap();
    service.code_of(&next.verification_id).await;
    while service.get(&v.verification_id).await.unwrap().status() == VerificationStatus::Pending {
        service.pass(Duration::from_secs(1)).await;
    }
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().status(),
        VerificationStatus::Canceled
    );
    assert_eq!(
        service.recorder.find_code(&v.verification_id),
        None,
        "no message with a dead code"
    );
}

#[tokio::test]
async fn store_05_after_a_failover_an_answered_call_is_told_no_dead_code() {
    let (service, store) = start(Setup::default()).await;
    let recipients = vec![recipient(v1::Channel::Voice, "+31612345678")];
    let v = service
        .start(v1::StartVerificationRequest {
            recipients,
            ..login("s")
        })
        .await
        .unwrap();
    let message = service.recorder.wait_for(1).await.remove(0);
    service
        .until(&v.verification_id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    let spoken = async || {
        service
            .reach
            .service
            .spoken(
                &SenderName::parse("outbox").unwrap(),
                message.receipt.as_str(),
            )
            .await
            .unwrap()
            .unwrap()
            .is_code
    };
    assert!(spoken().await);
    store.set(Fault::FailedOver);
    assert!(!spoken().await);
}

#[tokio::test]
async fn what_comes_due_during_a_sweep_is_not_slept_over() {
    let (service, store) = start(Setup::default()).await;
    settled(&service).await;
    store.set(Fault::Dawdles);
    while store.has(Fault::Dawdles) {
        service.pass(Duration::from_secs(1)).await;
    }
    // From here on the clock stands still.
    let closed = async {
        while !service
            .audit()
            .await
            .iter()
            .any(|line| line.what == "closed")
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("the sweep closes it");
}

#[tokio::test]
async fn guess_02_a_lost_reply_refunds_nothing_and_its_repeat_gets_the_verdict() {
    let (service, store) = start(Setup::default()).await;
    let (v, code) = settled(&service).await;
    let wrong = wrong(&code);
    store.set(Fault::LosesReplies);
    assert_eq!(
        shape(service.try_check(&v.verification_id, &wrong, "lost").await).0,
        Code::Unavailable
    );
    store.set(Fault::None);
    let repeat = service
        .try_check(&v.verification_id, &wrong, "lost")
        .await
        .unwrap();
    assert_eq!(
        (repeat.verdict(), repeat.attempts_left),
        (Verdict::Wrong, 4)
    );
    let next = service
        .try_check(&v.verification_id, &wrong, "new")
        .await
        .unwrap();
    assert_eq!(
        (next.verdict(), next.attempts_left),
        (Verdict::Wrong, 3),
        "one attempt fewer"
    );
}

#[tokio::test]
async fn store_18_a_lost_reply_to_a_start_leads_to_one_verification_and_one_code() {
    let (service, store) = start(Setup::default()).await;
    let request = login("s");
    store.set(Fault::LosesReplies);
    assert_eq!(
        shape(service.start(request.clone()).await).1,
        "STORE_UNAVAILABLE"
    );
    store.set(Fault::None);
    let first = service.start(request.clone()).await.unwrap();
    let second = service.start(request).await.unwrap();
    assert_eq!(first.verification_id, second.verification_id);
    // Its hand was released with the failed call, so the message is sent after the lease ends.
    while service.recorder.all().is_empty() {
        service.pass(Duration::from_secs(15)).await;
    }
    let code = service.code_of(&first.verification_id).await;
    assert_eq!(
        service.check(&first.verification_id, &code).await,
        Verdict::Approved
    );
    assert_eq!(service.recorder.all().len(), 1);
}

#[tokio::test]
async fn send_13_nothing_is_sent_for_a_start_that_was_not_stored() {
    let (service, store) = start(Setup::default()).await;
    store.set(Fault::Contended);
    assert_eq!(
        shape(service.start(login("never")).await),
        (Code::Aborted, "CONTENTION".to_owned())
    );
    store.set(Fault::None);
    let (v, code) = service.start_and_read(login("stored")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    assert_eq!(service.recorder.all().len(), 1);
}

#[tokio::test]
async fn send_13_nothing_is_sent_for_a_start_that_has_no_room() {
    let (service, store) = start(Setup::default()).await;
    store.set(Fault::Full);
    assert_eq!(
        shape(service.start(login("never")).await),
        (Code::ResourceExhausted, "STORE_FULL".to_owned())
    );
    store.set(Fault::None);
    let (v, code) = service.start_and_read(login("stored")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    assert_eq!(service.recorder.all().len(), 1);
}

#[tokio::test]
async fn a_start_that_is_decided_again_draws_its_quotas_once() {
    let (service, store) = start(Setup::default().quota(Dimension::Recipient, 5, 600)).await;
    store.set(Fault::Contended);
    assert_eq!(shape(service.start(login("s")).await).1, "CONTENTION");
    assert_eq!(store.draws.load(Ordering::SeqCst), 1);
    store.set(Fault::None);
    for _ in 0..4 {
        service.start(login("s")).await.unwrap();
    }
    let status = service.start(login("s")).await.unwrap_err();
    assert_eq!(
        reason(&status),
        "QUOTA_EXCEEDED",
        "what was drawn is never given back"
    );
}

#[tokio::test]
async fn store_16_a_start_whose_quotas_cannot_be_drawn_is_refused() {
    let (service, store) = start(Setup::default().quota(Dimension::Recipient, 5, 600)).await;
    store.set(Fault::NoQuotas);
    let down = (Code::Unavailable, "STORE_UNAVAILABLE".to_owned());
    assert_eq!(shape(service.start(login("s")).await), down);
    store.set(Fault::None);
    service.start(login("s")).await.unwrap();
    assert_eq!(service.recorder.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn store_16_a_step_of_a_plan_waits_for_the_quotas() {
    let setup = Setup::default()
        .quota(Dimension::Recipient, 20, 600)
        .with("ACTIONS__LOGIN__PLAN", "email 20s,sms");
    let store = Flaky::new(&setup);
    let machine = Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine).await;
    let recipients = [
        (v1::Channel::Email, "anna@example.org"),
        (v1::Channel::Sms, "+31612345678"),
    ];
    let recipients = recipients
        .map(|(channel, address)| recipient(channel, address))
        .to_vec();
    let id = service
        .start(v1::StartVerificationRequest {
            recipients,
            ..login("s")
        })
        .await
        .unwrap()
        .verification_id;
    service
        .until(&id, |v| {
            v.deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    store.set(Fault::NoQuotas);
    service.pass(Duration::from_secs(20)).await;
    let draws = store.draws.load(Ordering::SeqCst);
    let asked = async {
        while store.draws.load(Ordering::SeqCst) < draws + 3 {
            service.pass(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked)
        .await
        .expect("the step is asked for again and again");
    assert_eq!(service.recorder.all().len(), 1, "and not sent undrawn");
    store.set(Fault::None);
    while service.recorder.all().len() < 2 {
        service.pass(Duration::from_millis(100)).await;
    }
    let v = service
        .until(&id, |v| {
            v.deliveries.last().unwrap().status() == v1::DeliveryStatus::Sent
        })
        .await;
    assert_eq!(
        v.deliveries.len(),
        2,
        "one step, however often it was asked for"
    );
}

#[tokio::test]
async fn store_16_an_action_may_go_on_under_the_limits_of_the_process() {
    let setup = Setup::default()
        .quota(Dimension::Recipient, 20, 600)
        .with("ACTIONS__LOGIN__QUOTA_FALLBACK", "true");
    let (service, store) = start(setup).await;
    store.set(Fault::NoQuotas);
    for _ in 0..2 {
        service.start(login("s")).await.expect("a tenth of twenty");
    }
    let status = service.start(login("s")).await.unwrap_err();
    assert_eq!(
        (reason(&status).as_str(), quota(&status).as_str()),
        ("QUOTA_EXCEEDED", "recipient")
    );
    assert_eq!(
        retry_after(&status),
        Some(Duration::from_secs(300)),
        "one in ten times the interval"
    );
    let payment = v1::StartVerificationRequest {
        action: "payment".to_owned(),
        ..login("s")
    };
    let bound = [("amount", "1"), ("payee", "ACME")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let payment = v1::StartVerificationRequest {
        binding: bound.into(),
        ..payment
    };
    assert_eq!(
        shape(service.start(payment).await).1,
        "STORE_UNAVAILABLE",
        "an action that does not say so does not"
    );
    store.set(Fault::None);
    service
        .start(login("s"))
        .await
        .expect("the fleet's quota holds again");
    assert_eq!(service.recorder.wait_for(3).await.len(), 3);
}

#[tokio::test]
async fn send_06_what_costs_money_never_goes_on_under_the_limits_of_a_process() {
    let setup = Setup::default().with("ACTIONS__LOGIN__QUOTA_FALLBACK", "true");
    let setup = setup
        .file("[spend]\nhour = 100\n[spend.costs]\nsms = 0.08\n")
        .quota(Dimension::Recipient, 20, 600);
    let (service, store) = start(setup).await;
    store.set(Fault::NoQuotas);
    let recipients = vec![recipient(v1::Channel::Sms, "+31612345678")];
    let paid = v1::StartVerificationRequest {
        recipients,
        ..login("s")
    };
    assert_eq!(
        shape(service.start(paid).await),
        (Code::Unavailable, "STORE_UNAVAILABLE".to_owned())
    );
    service
        .start(login("s"))
        .await
        .expect("a mail costs nothing");
    assert_eq!(service.recorder.wait_for(1).await.len(), 1);
}

#[tokio::test]
async fn store_16_quotas_that_hang_leave_time_for_the_commit() {
    let setup = Setup::default()
        .quota(Dimension::Recipient, 20, 600)
        .with("ACTIONS__LOGIN__QUOTA_FALLBACK", "true");
    let (service, store) = start(setup.with("STORE__DEADLINE_MS", "1000")).await;
    store.set(Fault::QuotasHang);
    let (v, code) = service.start_and_read(login("s")).await;
    assert_eq!(
        service.check(&v.verification_id, &code).await,
        Verdict::Approved
    );
    store.set(Fault::Down);
    assert_eq!(
        shape(service.start(login("s")).await).1,
        "STORE_UNAVAILABLE",
        "without the store nothing starts"
    );
}

#[tokio::test]
async fn guess_04_right_and_wrong_guesses_get_the_same_bytes_under_contention() {
    let (service, store) = start(Setup::default()).await;
    let (v, code) = settled(&service).await;
    store.set(Fault::Contended);
    let mut answers = Vec::new();
    for guess in [code.clone(), wrong(&code)] {
        let status = service
            .try_check(&v.verification_id, &guess, &unique("a"))
            .await
            .unwrap_err();
        answers.push((
            status.code(),
            status.message().to_owned(),
            status.details().to_vec(),
        ));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, Code::Aborted);
    store.set(Fault::None);
    let v = service.get(&v.verification_id).await.unwrap();
    assert_eq!(
        (v.status(), v.attempts_left),
        (VerificationStatus::Pending, 5),
        "nothing was done"
    );
}

#[tokio::test]
async fn net_09_a_store_that_hangs_ends_in_a_deadline() {
    let quick = Setup::default().with("GRPC__DEADLINE_DEFAULT_MS", "50");
    let (service, store) = start(quick).await;
    let (v, code) = settled(&service).await;
    store.set(Fault::Hangs);
    let late = shape(service.try_check(&v.verification_id, &code, "a").await);
    assert_eq!(
        late,
        (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())
    );
    let quick_store = Setup::default().with("STORE__DEADLINE_MS", "50");
    let (service, store) = start(quick_store).await;
    let (v, code) = settled(&service).await;
    store.set(Fault::Hangs);
    assert_eq!(
        shape(service.try_check(&v.verification_id, &code, "a").await).1,
        "STORE_UNAVAILABLE"
    );
}

/// Two services one after the other on one store. The first is stopped while it waits at this fault, after `cause`.
async fn stopped_while_it_waits(
    setup: Setup,
    fault: Fault,
    cause: impl AsyncFn(&Harness, &Flaky),
) -> Vec<Line> {
    // Longer than the test: nothing is given up because it waits.
    let setup = setup.with("STORE__DEADLINE_MS", "60000");
    let store = Flaky::new(&setup);
    let machine = || Machine {
        clock: setup.clock.clone(),
        store: Some(store.clone()),
        ..Machine::default()
    };
    let service = setup.start_on(machine()).await;
    cause(&service, &store).await;
    tokio::time::timeout(PATIENCE, store.waits.notified())
        .await
        .unwrap_or_else(|_late| panic!("nothing waits at fault {}", fault as u8));
    service.reach.shutdown.cancel();
    let drains = async {
        while tokio::net::TcpStream::connect(service.reach.grpc)
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, drains)
        .await
        .expect("it closes its listeners");
    store.go_on();
    service.stop().await;
    setup.start_on(machine()).await.audit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn log_01_a_shutdown_while_counted_refusals_are_written_loses_none() {
    let lines = stopped_while_it_waits(
        Setup::default(),
        Fault::AppendsWait,
        async |service, store| {
            let (v, code) = settled(service).await;
            service.check(&v.verification_id, &code).await;
            for _ in 0..5 {
                let late = service.check(&v.verification_id, &code).await;
                assert_eq!(late, Verdict::Closed);
            }
            store.set(Fault::AppendsWait);
            service.pass(Duration::from_secs(60)).await;
        },
    )
    .await;
    let refused = lines.iter().filter(|line| line.what == "refused");
    assert_eq!(refused.map(Line::count).collect::<Vec<_>>(), [1, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guess_14_a_shutdown_while_failed_guesses_are_added_loses_none() {
    // One failure is an alarm, which shows in the trail that it was added.
    let setup = Setup::default().with("GUESSES__ALARM_FAILURES_PER_H", "1");
    let lines = stopped_while_it_waits(setup, Fault::TalliesWait, async |service, store| {
        let (v, code) = settled(service).await;
        // The first guess of a caller makes the process read its counts; the second one only adds to them.
        let (first, right) = service.start_and_read(login("first")).await;
        service.check(&first.verification_id, &right).await;
        store.set(Fault::TalliesWait);
        let wrong = service.check(&v.verification_id, &wrong(&code)).await;
        assert_eq!(wrong, Verdict::Wrong);
    })
    .await;
    let alarms = lines.iter().filter(|line| line.what == "many_failures");
    assert_eq!(alarms.count(), 2, "of the caller and of its tenant");
}

#[tokio::test]
async fn net_14_a_watcher_is_told_that_the_service_goes_down() {
    let service = Harness::new().await;
    let v = service.start(login("s")).await.unwrap();
    let request = v1::WatchVerificationRequest {
        verification_id: v.verification_id,
    };
    let mut stream = service
        .client
        .clone()
        .watch_verification(service.request(request))
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    service.reach.shutdown.cancel();
    let status = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unavailable, "SHUTTING_DOWN")
    );
}

#[tokio::test]
async fn hook_02_a_callback_while_the_store_is_down_is_to_come_again_and_then_counts() {
    use countersign::{domain::delivery::callback::Scheme, pb::v1::DeliveryStatus};

    use crate::delivery::callbacks::{DELIVERED, SECRET, call, now, own, sign, taken};
    let (service, store) = start(own(Setup::default())).await;
    let (id, path) = taken(&service).await;
    let headers = sign(
        Scheme::StandardWebhooks,
        SECRET,
        (&path, DELIVERED),
        now(&service),
    );
    for (fault, status) in [
        (Fault::Down, 503),
        (Fault::NoQuotas, 503),
        (Fault::None, 204),
        // A repeat of an accepted call is accepted, so that the provider stops.
        (Fault::None, 204),
    ] {
        store.set(fault);
        // With the same id: a call that was not accepted does not count as a repeat.
        let answer = call(&service, "POST", &path, &headers, DELIVERED).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, ""));
    }
    assert_eq!(
        service.get(&id).await.unwrap().deliveries[0].status(),
        DeliveryStatus::Delivered
    );
}
