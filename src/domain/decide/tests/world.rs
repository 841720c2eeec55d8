//! A test world of one subject, one clock and one store generation, which commits decisions as the
//! service does.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::fixtures::{
    ACTION, CALLER, DAY, HOUR, KEYRING, LEASE, MAIL, SUBJECT, TENANT, binding, limits, sender_name,
    wait, wrong,
};
use crate::domain::{
    audit::event::{Event, What},
    code::guess::Guess,
    crypto::keyring::Keyring,
    decide::{
        Cancel, CancelReason, Check, Checked, Context, Decision, Durability, Next, NoteReceipt,
        Noted, RefusedMessage, Report, Resend, Snapshot, Start, Target, Tick, Verdict, Work,
        delivery::{receipt, tick, wake},
        report,
        verification::{cancel, check, resend, start},
    },
    delivery::{
        HandOver, Lease,
        hands::{DueDelivery, FreeHands},
        reason::Reason,
        receipt::Receipt,
    },
    ids::{AttemptId, DeliveryId, VerificationId},
    recipient::{Channel, test_recipients::TestRecipients},
    record::subject::SubjectRecord,
    refusal::Refusal,
    time::{Generation, Now, Timestamp},
    verification::{
        Outcome, RequestMark, Verification,
        rules::{EntryMode, Origin, SubjectRules},
    },
};

/// The free hands of a process, shared by all senders.
pub(super) struct CountedHands {
    left: Cell<usize>,
    until: Timestamp,
    /// What was leased to them.
    works: RefCell<Vec<Work>>,
}

impl FreeHands for CountedHands {
    fn reserve(&self, due: &DueDelivery<'_>) -> Option<Lease> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        self.left.set(self.left.get().checked_sub(1)?);
        let token = u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_le_bytes();
        self.works.borrow_mut().push(Work {
            verification: due.verification,
            delivery: due.delivery.id,
            token,
        });
        Some(Lease {
            token,
            until: self.until,
        })
    }
}

pub(super) struct World {
    pub(super) at: Timestamp,
    /// How far the store's clock is ahead of the service's.
    pub(super) store_ahead: Duration,
    pub(super) keyring: &'static Keyring,
    pub(super) generation: Generation,
    pub(super) forgot_at: Option<Timestamp>,
    pub(super) rules: SubjectRules,
    pub(super) tests: TestRecipients,
    pub(super) record: Option<SubjectRecord>,
    /// Every event so far.
    pub(super) events: Vec<Event>,
    /// Whether the quotas refuse the messages of plans.
    pub(super) quotas_refuse: bool,
    /// The free hands of the process that starts, resends and reports.
    pub(super) hands: usize,
    /// What that process leased to itself in these commands.
    pub(super) in_hand: Vec<Work>,
    /// The durability that the last commit asked for.
    pub(super) durability: Option<Durability>,
    serial: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            at: Timestamp::from_micros(1_700_000_000_000_000),
            store_ahead: Duration::ZERO,
            keyring: &KEYRING,
            generation: Generation([1; 16]),
            forgot_at: None,
            rules: SubjectRules {
                failure_limit: 25,
                closed_retention: HOUR,
                event_retention: 7 * DAY,
            },
            tests: TestRecipients::default(),
            record: None,
            events: Vec::new(),
            quotas_refuse: false,
            hands: 16,
            in_hand: Vec::new(),
            durability: None,
            serial: 0,
        }
    }

    /// A world under another keyring.
    pub(super) fn under(keyring: &'static Keyring) -> Self {
        Self {
            keyring,
            ..Self::new()
        }
    }

    pub(super) fn cx(&self) -> Context<'_> {
        Context {
            now: self.now(),
            generation: self.generation,
            forgot_at: self.forgot_at,
            keyring: self.keyring,
            rules: &self.rules,
            refused: None,
            tests: &self.tests,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now::new(self.at, self.at.plus(self.store_ahead))
    }

    pub(super) fn pass(&mut self, span: Duration) {
        self.at = self.at.plus(span);
    }

    /// Changes the store's generation; the record survives.
    pub(super) fn fail_over(&mut self) {
        self.generation = Generation(self.fresh());
    }

    pub(super) fn fresh(&mut self) -> [u8; 16] {
        self.serial += 1;
        u128::from(self.serial).to_be_bytes()
    }

    /// Commits a decision as the service does.
    pub(super) fn commit<T>(&mut self, decision: Decision<T>) -> Result<T, Refusal> {
        match decision.next {
            Next::Same | Next::AwaitDurable => {}
            Next::Write(record, durability) => {
                self.record = Some(record.stamped(&decision.events, self.at));
                self.durability = Some(durability);
            }
            Next::Delete => self.record = None,
        }
        self.events.extend(decision.events);
        decision.reply
    }

    /// A vouched start by e-mail, for the test to change.
    pub(super) fn a_start(&mut self) -> Start {
        Start {
            tenant: TENANT.clone(),
            caller: CALLER.clone(),
            subject: SUBJECT.clone(),
            action: ACTION.clone(),
            origin: Origin::Vouched,
            contact: None,
            locale: None,
            recipients: vec![MAIL.clone()],
            passed_over: Vec::new(),
            preferred: None,
            binding: binding("10"),
            limits: limits(),
            browser: None,
            decoy: false,
            network: None,
            quota_keys: Vec::new(),
            request: RequestMark {
                id: self.fresh(),
                body: [0; 16],
            },
            id: VerificationId {
                subject: KEYRING.subject_key(&TENANT, &SUBJECT),
                random: self.fresh(),
            },
            delivery: DeliveryId(self.fresh()),
            nonce: self.fresh(),
            event_salt: self.fresh(),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "a story makes a start to start it"
    )]
    pub(super) fn start(&mut self, command: Start) -> Result<Snapshot, Refusal> {
        let counted_hands = self.counted_hands(self.hands);
        let decision = start(self.record.clone(), &command, &counted_hands, &self.cx());
        let snapshot = self.commit(decision)?;
        self.in_hand.append(&mut counted_hands.works.into_inner());
        Ok(snapshot)
    }

    /// Starts a verification, and returns its id.
    pub(super) fn started(&mut self, origin: Origin) -> VerificationId {
        let command = Start {
            origin,
            ..self.a_start()
        };
        self.start(command).unwrap().verification.id
    }

    pub(super) fn target(id: VerificationId) -> Target {
        Target {
            tenant: TENANT.clone(),
            caller: CALLER.clone(),
            id,
        }
    }

    pub(super) fn find(&self, id: VerificationId) -> &Verification {
        self.record
            .as_ref()
            .and_then(|record| record.find(&id))
            .expect("the record remembers it")
    }

    pub(super) fn code(&self, id: VerificationId) -> String {
        self.find(id)
            .code(self.keyring, &self.tests)
            .expect("it is pending")
            .expose()
            .to_owned()
    }

    pub(super) fn check_as(
        &mut self,
        id: VerificationId,
        attempt: &str,
        text: &str,
    ) -> Result<Checked, Refusal> {
        let command = Check {
            target: Self::target(id),
            attempt: AttemptId::parse(attempt).unwrap(),
            guess: Guess::parse(text).unwrap(),
            entry_mode: EntryMode::Portal,
        };
        let decision = check(self.record.clone(), &command, &self.cx());
        self.commit(decision)
    }

    /// Checks a guess under a new attempt id.
    pub(super) fn check(&mut self, id: VerificationId, text: &str) -> Result<Verdict, Refusal> {
        self.serial += 1;
        let attempt = format!("attempt-{}", self.serial);
        self.check_as(id, &attempt, text)
            .map(|checked| checked.verdict)
    }

    /// Checks a guess that is certainly wrong.
    pub(super) fn miss(&mut self, id: VerificationId) -> Result<Verdict, Refusal> {
        let wrong = wrong(&self.code(id));
        self.check(id, &wrong)
    }

    /// Gives wrong guesses until codes are disabled, waiting whenever a refusal says so; returns
    /// the number of guesses.
    pub(super) fn miss_until_disabled(&mut self, origin: Origin) -> u32 {
        let mut misses = 0;
        for _ in 0..1000 {
            let command = Start {
                origin,
                ..self.a_start()
            };
            let id = match self.start(command) {
                Ok(snapshot) => snapshot.verification.id,
                Err(Refusal::MethodDisabled { .. }) => return misses,
                Err(refusal) => {
                    self.pass(wait(&refusal));
                    continue;
                }
            };
            misses += self.miss_all(id);
        }
        panic!("never disabled");
    }

    /// Gives wrong guesses until the verification ends; returns their number.
    pub(super) fn miss_all(&mut self, id: VerificationId) -> u32 {
        let wrong = wrong(&self.code(id));
        let mut misses = 0;
        for _ in 0..100 {
            match self.check(id, &wrong) {
                Ok(Verdict::Wrong { .. }) => misses += 1,
                Ok(Verdict::AttemptsExhausted) => return misses + 1,
                Ok(Verdict::Expired) | Err(Refusal::MethodDisabled { .. }) => return misses,
                Ok(verdict) => panic!("{verdict:?}"),
                Err(refusal) => self.pass(wait(&refusal)),
            }
        }
        panic!("never over");
    }

    pub(super) fn resend(
        &mut self,
        id: VerificationId,
        channel: Option<Channel>,
    ) -> Result<Snapshot, Refusal> {
        let command = Resend {
            target: Self::target(id),
            request: RequestMark {
                id: self.fresh(),
                body: [0; 16],
            },
            channel,
            delivery: DeliveryId(self.fresh()),
        };
        let counted_hands = self.counted_hands(self.hands);
        let decision = resend(self.record.clone(), &command, &counted_hands, &self.cx());
        let snapshot = self.commit(decision)?;
        self.in_hand.append(&mut counted_hands.works.into_inner());
        Ok(snapshot)
    }

    pub(super) fn cancel(
        &mut self,
        id: VerificationId,
        reason: CancelReason,
    ) -> Result<Snapshot, Refusal> {
        let decision = cancel(
            self.record.clone(),
            &Cancel {
                target: Self::target(id),
                reason,
            },
            &self.cx(),
        );
        self.commit(decision)
    }

    /// A process with this many free hands.
    pub(super) fn counted_hands(&self, hands: usize) -> CountedHands {
        CountedHands {
            left: Cell::new(hands),
            until: self.at.plus(LEASE),
            works: RefCell::default(),
        }
    }

    /// Leases what is due, with this many free hands.
    pub(super) fn tick_with(&mut self, hands: usize) -> Vec<Work> {
        let command = self.a_tick();
        let mut counted_hands = self.counted_hands(hands);
        let mut decision = tick(self.record.clone(), &command, &counted_hands, &self.cx());
        if self.quotas_refuse
            && let Some(message) = decision.outgoing.take()
        {
            let refused = RefusedMessage {
                message,
                reason: Reason::QuotaExceeded,
            };
            let cx = Context {
                refused: Some(&refused),
                ..self.cx()
            };
            counted_hands = self.counted_hands(hands);
            decision = tick(self.record.clone(), &command, &counted_hands, &cx);
            assert_eq!(decision.outgoing, None, "what was refused is not sent");
        }
        self.commit(decision).unwrap();
        counted_hands.works.into_inner()
    }

    pub(super) fn a_tick(&mut self) -> Tick {
        Tick {
            delivery: DeliveryId(self.fresh()),
            freed: None,
        }
    }

    /// Ticks because a hand that this delivery waited for became free.
    pub(super) fn free_hand_for(&mut self, delivery: DeliveryId) -> Vec<Work> {
        let command = Tick {
            freed: Some(delivery),
            ..self.a_tick()
        };
        let counted_hands = self.counted_hands(1);
        let decision = wake(self.record.clone(), &command, &counted_hands, &self.cx());
        self.commit(decision).unwrap();
        counted_hands.works.into_inner()
    }

    /// What is leased to this process: by starts, resends and reports since the last call, and
    /// by a tick now.
    pub(super) fn tick(&mut self) -> Vec<Work> {
        let mut works = std::mem::take(&mut self.in_hand);
        works.extend(self.tick_with(16));
        works
    }

    pub(super) fn receipt(&mut self, delivery: DeliveryId, sender: &str, said: Receipt) -> Noted {
        let command = NoteReceipt {
            delivery,
            sender: sender_name(sender),
            receipt: said,
        };
        let decision = receipt(self.record.clone(), &command, &self.cx());
        self.commit(decision).unwrap()
    }

    pub(super) fn report(&mut self, work: Work, outcome: HandOver) {
        self.report_by("mail", work, outcome);
    }

    pub(super) fn report_by(&mut self, sender: &str, work: Work, outcome: HandOver) {
        let command = Report {
            work,
            sender: Some(sender_name(sender)),
            outcome,
        };
        let counted_hands = self.counted_hands(self.hands);
        let decision = report(self.record.clone(), &command, &counted_hands, &self.cx());
        self.commit(decision).unwrap();
        self.in_hand.append(&mut counted_hands.works.into_inner());
    }

    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        self.record
            .as_ref()
            .and_then(|record| record.wake_at(self.now(), &self.rules))
    }

    /// Lets time pass as the due index says, until nothing is due any more.
    pub(super) fn sweep(&mut self) {
        for _ in 0..1000 {
            let Some(wake_at) = self.wake_at() else {
                return;
            };
            self.at = self.at.max(wake_at);
            self.tick();
        }
        panic!("always due");
    }

    /// The outcomes that the events name for this start: one, or none while it is pending.
    pub(super) fn ends(&self, id: VerificationId) -> Vec<Outcome> {
        let ended = |event: &Event| match event.what {
            What::Closed { outcome } if event.verification == Some(id) => Some(outcome),
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }
}
