//! The cost of one decision, one code and one seal.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot be set up is to fail"
)]

use std::{hint::black_box, time::Duration};

use countersign::{
    domain::{
        code::{
            CodeFields, CodeLength, derive,
            guess::{Guess, Separators},
        },
        crypto::{
            keyring::{Keyring, Kid, SECRET_BYTES, Secret},
            seal::{self, SealContext},
        },
        decide::{Check, Context, Next, Start, Target, check, start},
        delivery::{
            Lease,
            hands::{DueDelivery, FreeHands},
        },
        ids::{
            ActionName, AttemptId, CallerName, DeliveryId, SubjectId, SubjectKey, TenantId,
            VerificationId,
        },
        recipient::{Channel, Recipient, test_recipients::TestRecipients},
        record::subject::SubjectRecord,
        time::{Generation, Now, Timestamp},
        verification::{
            RequestMark,
            binding::Binding,
            rules::{EntryMode, Limits, Origin, SubjectRules},
        },
    },
    ports::system::fresh,
    system::SystemEntropy,
};

fn main() {
    divan::main();
}

struct World {
    keyring: Keyring,
    rules: SubjectRules,
    tests: TestRecipients,
    id: VerificationId,
}

impl World {
    fn new() -> Self {
        let ring = [(Kid::parse("k1").unwrap(), Secret::new([2; SECRET_BYTES]))];
        let keyring = Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring).unwrap();
        let rules = SubjectRules {
            failure_limit: 25,
            closed_retention: Duration::from_secs(3600),
            event_retention: Duration::from_secs(7 * 86_400),
        };
        Self {
            keyring,
            rules,
            tests: TestRecipients::default(),
            id: VerificationId {
                subject: SubjectKey([3; 16]),
                random: [4; 16],
            },
        }
    }

    fn context(&self) -> Context<'_> {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        Context {
            now: Now::new(at, at),
            generation: Generation([5; 16]),
            forgot_at: None,
            refused: None,
            keyring: &self.keyring,
            rules: &self.rules,
            tests: &self.tests,
        }
    }

    fn start(&self) -> Start {
        Start {
            tenant: TenantId::parse("default").unwrap(),
            caller: CallerName::parse("payments").unwrap(),
            subject: SubjectId::parse("customer-1").unwrap(),
            action: ActionName::parse("login").unwrap(),
            origin: Origin::Vouched,
            contact: None,
            locale: None,
            recipients: vec![Recipient::parse(Channel::Email, "anna@example.org").unwrap()],
            passed_over: Vec::new(),
            preferred: None,
            binding: Binding::default(),
            browser: None,
            decoy: false,
            limits: Limits {
                code_length: CodeLength::new(6).unwrap(),
                code_lifetime: Duration::from_secs(300),
                attempts: 5,
                sends: 4,
                resend_cooldown: Duration::from_secs(30),
                separators: Separators {
                    space: true,
                    hyphen: true,
                },
                entry_modes: EntryMode::ALL.to_vec(),
                channels: Channel::ALL.to_vec(),
                plan: Vec::new(),
            },
            request: RequestMark {
                id: [6; 16],
                body: [7; 16],
            },
            id: self.id,
            delivery: DeliveryId([8; 16]),
            nonce: [9; 16],
            event_salt: [10; 16],
            network: None,
            quota_keys: Vec::new(),
        }
    }

    fn record(&self) -> SubjectRecord {
        match start(None, &self.start(), &NoHands, &self.context()).next {
            Next::Write(record, _) => *record,
            Next::Same | Next::AwaitDurable | Next::Delete => unreachable!("a start writes"),
        }
    }

    fn check(&self, code: &str) -> Check {
        let target = Target {
            tenant: self.start().tenant,
            caller: self.start().caller,
            id: self.id,
        };
        let (attempt, guess) = (AttemptId::parse("a1").unwrap(), Guess::parse(code).unwrap());
        Check {
            target,
            attempt,
            guess,
            entry_mode: EntryMode::Portal,
        }
    }
}

/// Hands of senders, none of which is free.
struct NoHands;

impl FreeHands for NoHands {
    fn reserve(&self, _due: &DueDelivery<'_>) -> Option<Lease> {
        None
    }
}

#[divan::bench]
fn decide_start(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let command = world.start();
    bencher.bench_local(|| start(None, &command, &NoHands, &world.context()));
}

#[divan::bench]
fn decide_check_wrong(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let (record, command) = (world.record(), world.check("000000"));
    bencher
        .with_inputs(|| Some(record.clone()))
        .bench_values(|record| check(record, &command, &world.context()));
}

#[divan::bench]
fn decide_check_right(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let record = world.record();
    let code = record.verifications[0]
        .code(&world.keyring, &world.tests)
        .unwrap();
    let command = world.check(code.expose());
    bencher
        .with_inputs(|| Some(record.clone()))
        .bench_values(|record| check(record, &command, &world.context()));
}

#[divan::bench]
fn derive_code(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let command = world.start();
    let fields = CodeFields {
        tenant: &command.tenant,
        subject: &command.subject,
        action: &command.action,
        verification: &command.id,
        nonce: &command.nonce,
        binding: &[0; 32],
        length: command.limits.code_length,
    };
    bencher.bench(|| derive(&world.keyring, world.keyring.current(), black_box(&fields)));
}

/// About the size of a record with one live verification.
const RECORD_BYTES: usize = 400;

#[divan::bench]
fn seal_record(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let key = SubjectKey([3; 16]);
    bencher
        .with_inputs(|| vec![7; RECORD_BYTES])
        .bench_values(|plain| {
            seal::seal(&world.keyring, SealContext::Record(&key), 1, [0; 12], plain)
        });
}

#[divan::bench]
fn unseal_record(bencher: divan::Bencher<'_, '_>) {
    let world = World::new();
    let key = SubjectKey([3; 16]);
    let blob = seal::seal(
        &world.keyring,
        SealContext::Record(&key),
        1,
        [0; 12],
        vec![7; RECORD_BYTES],
    );
    bencher.bench(|| seal::open(&world.keyring, SealContext::Record(&key), black_box(&blob)));
}

#[divan::bench]
fn write_verification_id(bencher: divan::Bencher<'_, '_>) {
    let id = World::new().id;
    bencher.bench(|| black_box(&id).to_string());
}

#[divan::bench]
fn read_verification_id(bencher: divan::Bencher<'_, '_>) {
    let text = World::new().id.to_string();
    bencher.bench(|| VerificationId::parse(black_box(&text)));
}

#[divan::bench]
fn sixteen_random_bytes(bencher: divan::Bencher<'_, '_>) {
    let entropy = SystemEntropy::default();
    bencher.bench(|| fresh::<16>(&entropy));
}
