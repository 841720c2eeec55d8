//! What is stored, unsealed: no code, no trace of one except the fingerprint, and nothing stored twice.

use std::{collections::HashSet, time::Duration};

use aws_lc_rs::{digest, hmac};

use super::*;
use crate::{
    domain::{
        audit::event::{RefusedCall, What},
        code::{
            CodeLength,
            guess::{Guess, Separators},
            link::BrowserMark,
        },
        crypto::keyring::{Kid, SECRET_BYTES, Secret},
        decide::{Check, Context as DecideContext, Decision, Next, Start, Target, check, start},
        delivery::{
            DeliveryStatus, Lease,
            breaker::Breaker,
            hands::{DueDelivery, FreeHands},
            plan::Step,
            reason::Reason,
            route::Refusals,
        },
        ids::{
            ActionName, AttemptId, CallerName, DeliveryId, ProviderReference, Reference, SubjectId,
            TenantId, VerificationId,
        },
        limit::{
            bucket::{BucketKind, Scope},
            quota::{Dimension, Network},
        },
        recipient::{Channel, Recipient, test_recipients::TestRecipients},
        record::{
            key::{RecordKey, RecordKind},
            side::{Side, SideRecord},
        },
        time::{Generation, Now, Timestamp},
        verification::{
            Contact, Phase, RequestMark,
            binding::Binding,
            rules::{EntryMode, Limits, Origin, SubjectRules},
        },
    },
    system::SystemEntropy,
};

/// The number of seals that one process makes in the test.
const SEALS: usize = if option_env!("COUNTERSIGN_CAMPAIGN").is_some() {
    10_000_000
} else {
    200_000
};
const NAMES: [u8; SECRET_BYTES] = [1; SECRET_BYTES];
const MASTER: [u8; SECRET_BYTES] = [2; SECRET_BYTES];

fn vault() -> Vault {
    let ring = [(Kid::parse("k1").unwrap(), Secret::new(MASTER))];
    Vault::new(
        Arc::new(Keyring::new(&Secret::new(NAMES), &ring).unwrap()),
        Arc::new(SystemEntropy::default()),
    )
}

fn a_start(vault: &Vault) -> Start {
    let (tenant, subject) = (
        TenantId::parse("tenant").unwrap(),
        SubjectId::parse("somebody").unwrap(),
    );
    let key = vault.keyring.subject_key(&tenant, &subject);
    Start {
        tenant,
        subject,
        caller: CallerName::parse("payments").unwrap(),
        action: ActionName::parse("login").unwrap(),
        origin: Origin::Vouched,
        contact: None,
        locale: None,
        passed_over: Vec::new(),
        recipients: vec![Recipient::parse(Channel::Email, "anna@example.org").unwrap()],
        preferred: None,
        binding: Binding::default(),
        browser: Some(BrowserMark([6; 32])),
        decoy: true,
        network: None,
        quota_keys: Vec::new(),
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
            id: [3; 16],
            body: [4; 16],
        },
        id: VerificationId {
            subject: key,
            random: fresh(&*vault.entropy),
        },
        delivery: DeliveryId(fresh(&*vault.entropy)),
        nonce: fresh(&*vault.entropy),
        event_salt: fresh(&*vault.entropy),
    }
}

/// Offers no free hand, so that nothing is leased.
struct NoHands;

impl FreeHands for NoHands {
    fn reserve(&self, _due: &DueDelivery<'_>) -> Option<Lease> {
        None
    }
}

fn written<T>(decision: Decision<T>) -> SubjectRecord {
    match decision.next {
        Next::Write(record, _) => record.stamped(&decision.events, Timestamp::from_micros(1)),
        Next::Same | Next::AwaitDurable | Next::Delete => panic!("it writes"),
    }
}

/// A record with one live verification and one wrong guess; also returns that guess.
fn a_record(vault: &Vault) -> (SubjectKey, SubjectRecord, String) {
    let rules = SubjectRules {
        failure_limit: 25,
        closed_retention: Duration::from_secs(3600),
        event_retention: Duration::from_secs(7 * 86_400),
    };
    let at = Timestamp::from_micros(1_800_000_000_000_000);
    let (now, generation) = (Now::new(at, at), Generation([5; 16]));
    let tests = TestRecipients::default();
    let (keyring, rules) = (&vault.keyring, &rules);
    let cx = DecideContext {
        now,
        generation,
        forgot_at: None,
        keyring,
        rules,
        refused: None,
        tests: &tests,
    };
    let command = a_start(vault);
    let (id, tenant, caller) = (command.id, command.tenant.clone(), command.caller.clone());
    let record = written(start(None, &command, &NoHands, &cx));
    let code = record.verifications[0]
        .code(&vault.keyring, &TestRecipients::default())
        .unwrap()
        .expose()
        .to_owned();
    let guess = if code == "271828" { "314159" } else { "271828" };
    let command = Check {
        target: Target { tenant, caller, id },
        attempt: AttemptId::parse("a1").unwrap(),
        guess: Guess::parse(guess).unwrap(),
        entry_mode: EntryMode::Portal,
    };
    (
        id.subject,
        written(check(Some(record), &command, &cx)),
        guess.to_owned(),
    )
}

#[test]
fn a_record_comes_back_as_it_went_in() {
    let vault = vault();
    let (key, mut record, _) = a_record(&vault);
    let blob = vault.close(&key, &record);
    assert_eq!(vault.open(&key, &blob), Ok(record.clone()));
    record.verifications[0].deliveries[0].status = DeliveryStatus::Undelivered {
        reason: Reason::from_word("30003"),
    };
    if let Phase::Pending(pending) = &mut record.verifications[0].phase {
        pending.limits.plan = vec![
            Step {
                channel: Channel::Email,
                wait: Some(Duration::from_secs(20)),
            },
            Step {
                channel: Channel::Sms,
                wait: None,
            },
        ];
    }
    record.verifications[0].deliveries[0].reference =
        ProviderReference::parse(&"x".repeat(128)).ok();
    record.verifications[0].deliveries[0].refusals = Refusals::default().with(1).with(7);
    record.verifications[0].deliveries[0].deferrals = Refusals::default().with(0).with(6);
    let blob = vault.close(&key, &record);
    assert_eq!(vault.open(&key, &blob), Ok(record.clone()));
    let closed = record.close(
        &record_id(&vault.open(&key, &blob).unwrap()),
        crate::domain::verification::Outcome::Denied,
        Timestamp::from_micros(9),
        &mut Vec::new(),
    );
    assert_eq!(vault.open(&key, &vault.close(&key, &closed)), Ok(closed));
}

fn record_id(record: &SubjectRecord) -> VerificationId {
    record.verifications[0].id
}

#[test]
fn code_03_an_unsealed_record_holds_no_code_and_no_digest_of_one() {
    let vault = vault();
    let (_, record, _) = a_record(&vault);
    let plain = encode::record(&record).encode_to_vec();
    let windows: HashSet<[u8; 16]> = plain
        .windows(16)
        .map(|window| window.try_into().unwrap())
        .collect();
    let texts: HashSet<&[u8]> = plain
        .windows(6)
        .filter(|window| window.iter().all(u8::is_ascii_digit))
        .collect();
    // Every key of the process except the code subkey, used directly.
    let keys = [NAMES, MASTER].map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key));
    let is_there = |digest: &[u8]| windows.contains(&digest[..16]);
    for number in 0..1_000_000 {
        let candidate = format!("{number:06}");
        assert!(!texts.contains(candidate.as_bytes()), "{candidate}");
        for algorithm in [&digest::SHA256, &digest::SHA1_FOR_LEGACY_USE_ONLY] {
            assert!(
                !is_there(digest::digest(algorithm, candidate.as_bytes()).as_ref()),
                "{candidate}"
            );
        }
        assert!(
            keys.iter()
                .all(|key| !is_there(hmac::sign(key, candidate.as_bytes()).as_ref())),
            "{candidate}"
        );
    }
    // Proves that the search works: it must find the record's own fingerprint.
    assert!(is_there(&record.verifications[0].answers[0].fingerprint));
}

#[test]
fn seal_03_nonces_never_repeat_and_are_not_the_version() {
    let vault = vault();
    let (key, record, _) = a_record(&vault);
    let mut seen = HashSet::with_capacity(SEALS);
    for _ in 0..SEALS {
        let blob = vault.close(&key, &record);
        assert!(seen.insert(blob.token), "a nonce came again");
        let nonce_at = 2 + "k1".len() + 8;
        assert_eq!(
            blob.bytes[nonce_at..nonce_at + 12],
            blob.token,
            "the compare token is the nonce"
        );
    }
}

#[test]
fn seal_07_what_names_a_record_comes_from_a_key() {
    let (tenant, subject) = (
        TenantId::parse("tenant").unwrap(),
        SubjectId::parse("somebody").unwrap(),
    );
    let named = |names: [u8; SECRET_BYTES], master: [u8; SECRET_BYTES]| {
        let ring = [(Kid::parse("k1").unwrap(), Secret::new(master))];
        Keyring::new(&Secret::new(names), &ring)
            .unwrap()
            .subject_key(&tenant, &subject)
    };
    assert_eq!(
        named(NAMES, MASTER),
        named(NAMES, [9; SECRET_BYTES]),
        "rotation orphans nothing"
    );
    assert_ne!(
        named(NAMES, MASTER),
        named([9; SECRET_BYTES], MASTER),
        "without the secret nobody can find a subject"
    );
}

#[test]
fn seal_10_no_debug_output_shows_a_secret() {
    let vault = vault();
    let (_, record, guess) = a_record(&vault);
    let code = record.verifications[0]
        .code(&vault.keyring, &TestRecipients::default())
        .unwrap();
    let shown = format!(
        "{record:?} {:?} {code:?} {:?} {:?}",
        a_start(&vault),
        Guess::parse(&guess),
        vault.keyring
    );
    for secret in [code.expose(), guess.as_str(), "anna@", "somebody"] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}

#[test]
fn log_01_counted_refusals_by_the_quotas_of_one_dimension_are_told_apart() {
    let vault = vault();
    let (key, record, _) = a_record(&vault);
    let by = |scope| RefusedCall {
        call: "start",
        reason: "QUOTA_EXCEEDED",
        quota: Some(BucketKind {
            dimension: Dimension::Tenant,
            scope,
        }),
    };
    let counts = [(by(Scope::Anonymous), 5), (by(Scope::All), 2)].into();
    let event = Event::of(
        &record.verifications[0],
        Timestamp::from_micros(7),
        What::RefusedAgain { counts },
    );
    let sealed = vault.close_event(&key, Some(&record.event_salt), &event);
    let line = vault.open_event(&key, Some(&record.event_salt), &sealed);
    let details = line.unwrap().details;
    assert_eq!(details["count"], "7");
    assert_eq!(
        details["counts"],
        "start QUOTA_EXCEEDED.tenant.anonymous 5, start QUOTA_EXCEEDED.tenant 2"
    );
    assert_eq!(
        (&*details["quota"], &*details["origin"]),
        ("tenant", "anonymous")
    );
}

#[test]
fn an_event_cannot_be_read_without_its_record() {
    let vault = vault();
    let (key, record, _) = a_record(&vault);
    let event = Event::of(
        &record.verifications[0],
        Timestamp::from_micros(7),
        What::Started {
            channel: Channel::Email,
        },
    );
    let sealed = vault.close_event(&key, Some(&record.event_salt), &event);
    assert_eq!(
        vault
            .open_event(&key, Some(&record.event_salt), &sealed)
            .unwrap()
            .what,
        "started"
    );
    assert!(vault.open_event(&key, None, &sealed).is_err());
    assert!(vault.open_event(&key, Some(&[0; 16]), &sealed).is_err());
}

#[test]
fn seal_03_two_seals_of_one_event_have_two_nonces() {
    let vault = vault();
    let (key, record, _) = a_record(&vault);
    let event = Event::of(
        &record.verifications[0],
        Timestamp::from_micros(7),
        What::Started {
            channel: Channel::Email,
        },
    );
    let mut nonces = HashSet::new();
    for salt in [Some(&record.event_salt), None] {
        for _ in 0..1000 {
            let nonce_at = 2 + "k1".len() + 8;
            nonces.insert(vault.close_event(&key, salt, &event)[nonce_at..nonce_at + 12].to_vec());
        }
    }
    assert_eq!(nonces.len(), 2000);
    let side = SideRecord {
        version: 1,
        until: Timestamp::from_micros(1),
        side: Side::Breaker(Breaker::default()),
    };
    let side_key = RecordKey {
        kind: RecordKind::Side(side.side.kind()),
        hash: key.0,
    };
    assert_ne!(
        vault.close_side(&side_key, &side).token,
        vault.close_side(&side_key, &side).token
    );
}

/// The longest permitted text of these characters.
fn long(length: usize) -> String {
    "x".repeat(length)
}

/// An anonymous start on a network and a contact of its own, with fields as long as they may be and a binding of this many
/// values of 512 characters.
fn a_long_start(vault: &Vault, nth: u8, values: u8) -> Start {
    let id = || Reference::parse(&long(64)).unwrap();
    let value = |n: u8| (format!("{n:0>32}"), long(400));
    let address = format!("{}@{}.example.org", long(60), long(60));
    Start {
        origin: Origin::Anonymous,
        network: Network::parse(&format!("192.0.{nth}.1")).ok(),
        contact: Some(Contact {
            id: id(),
            case: Some(id()),
            channel: Some("phone".to_owned()),
            agent: Some(id()),
        }),
        caller: CallerName::parse(&long(64)).unwrap(),
        action: ActionName::parse(&long(64)).unwrap(),
        binding: Binding::parse((0..values).map(value).collect()).unwrap(),
        recipients: vec![Recipient::parse(Channel::Email, &address).unwrap(); 4],
        request: RequestMark {
            id: fresh(&*vault.entropy),
            body: [4; 16],
        },
        ..a_start(vault)
    }
}

#[test]
fn guess_12_what_a_stranger_can_start_fills_a_quarter_of_a_record() {
    let vault = vault();
    let rules = SubjectRules {
        failure_limit: 25,
        closed_retention: Duration::from_secs(3600),
        event_retention: Duration::from_secs(7 * 86_400),
    };
    let mut record = None;
    let mut started = 0;
    // Each round starts as much as it may, from more networks than there are places, and lets all of it expire.
    for round in 0..20_u64 {
        let at = Timestamp::from_micros(1_000_000 + round * 400_000_000);
        let tests = TestRecipients::default();
        let cx = DecideContext {
            now: Now::new(at, at),
            generation: Generation([1; 16]),
            forgot_at: None,
            keyring: &vault.keyring,
            rules: &rules,
            refused: None,
            tests: &tests,
        };
        for (nth, values) in (0..).zip([8, 3, 2, 1, 0]) {
            let command = a_long_start(&vault, nth, values);
            let decision = start(record.clone(), &command, &NoHands, &cx);
            if let Next::Write(written, _) = decision.next {
                record = Some(*written);
                started += 1;
            }
        }
        let bytes = vault
            .close(&a_start(&vault).id.subject, record.as_ref().unwrap())
            .bytes
            .len();
        assert!(bytes <= 16 * 1024, "{bytes} bytes after round {round}");
    }
    assert!(started > 20, "{started}");
}
