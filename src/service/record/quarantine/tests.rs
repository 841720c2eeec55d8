//! How long unreadable records are postponed, and what is reported about them.

use super::*;
use crate::domain::crypto::seal::SealError;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn key(n: usize) -> RecordKey {
    let mut bytes = [b'r'; 17];
    bytes[1..9].copy_from_slice(&(n as u64).to_be_bytes());
    RecordKey::from_bytes(&bytes)
}

fn why(kid: &str) -> Unreadable {
    Unreadable {
        token: Some([1; 12]),
        kid: Kid::parse(kid).ok(),
        cause: VaultError::Seal(SealError::Broken),
    }
}

fn start() -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000)
}

#[test]
fn store_21_the_wait_doubles_from_a_minute_to_a_day() {
    let (quarantine, mut now) = (Quarantine::default(), start());
    let mut waits = Vec::new();
    for _ in 0..14 {
        let until = quarantine.postpone(key(1), &why("k1"), now);
        waits.push(until.since(now).as_secs() / 60);
        now = until;
    }
    assert_eq!(
        waits,
        [
            1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440, 1440, 1440
        ]
    );
    quarantine.forget(&key(1));
    let until = quarantine.postpone(key(1), &why("k1"), now);
    assert_eq!(until, now.plus(60 * SECOND), "what was opened begins anew");
}

#[test]
fn store_21_a_call_does_not_lengthen_the_wait() {
    let (quarantine, now) = (Quarantine::default(), start());
    for _ in 0..5 {
        quarantine.remember_unreadable(key(1), &why("k1"), now);
    }
    assert_eq!(
        quarantine.postpone(key(1), &why("k1"), now),
        now.plus(60 * SECOND)
    );
}

#[test]
fn store_21_memory_is_bounded_and_what_does_not_fit_waits_an_hour() {
    let (quarantine, now) = (Quarantine::default(), start());
    for n in 0..REMEMBERED_MAX + 5 {
        let until = quarantine.postpone(key(n), &why("k1"), now);
        let wait = if n < REMEMBERED_MAX {
            60 * SECOND
        } else {
            HOUR
        };
        assert_eq!(until, now.plus(wait), "{n}");
    }
    assert_eq!(quarantine.state().records.len(), REMEMBERED_MAX);
}

#[test]
fn store_21_a_complaint_says_how_many_and_under_which_keys() {
    let (quarantine, now) = (Quarantine::default(), start());
    assert_eq!(quarantine.complaint(now), None);
    for n in 0..7 {
        quarantine.postpone(key(n), &why(if n < 4 { "k1" } else { "" }), now);
    }
    let complaint = quarantine.complaint(now).unwrap();
    assert_eq!(complaint.word, "unreadable_records");
    let says = |what: &str| assert!(complaint.text.contains(what), "{}", complaint.text);
    says("7 stored records");
    says("key id k1 (4), none (3)");
    let later = now.plus(60 * SECOND).plus(MISSED_AFTER);
    assert_eq!(quarantine.complaint(later), None, "they did not come again");
}

#[test]
fn store_21_there_is_at_most_one_line_a_minute() {
    let (quarantine, mut now) = (Quarantine::default(), start());
    let mut lines = Vec::new();
    for n in 0..150 {
        let mut state = quarantine.state();
        state.remember(key(n), &why("k1"), now);
        lines.extend(state.line(now).map(|line| line.met));
        drop(state);
        now = now.plus(SECOND);
    }
    assert_eq!(
        lines,
        [1, 60, 60],
        "each says how many there were since the last"
    );
}
