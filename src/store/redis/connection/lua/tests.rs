//! The scripts alone, on a server with its own clock: what they write, and how long it is kept.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::contract::bed::{rig::Reply, server};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// A key name that no other test uses.
fn name(kind: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("lua{}:{kind}", NEXT.fetch_add(1, Ordering::SeqCst))
}

fn cmd(arguments: &[&str]) -> Reply {
    server().cmd(arguments).ok()
}

fn run(script: &Lua, keys: &[&str], arguments: &[&str]) -> Reply {
    let arguments: Vec<_> = arguments.iter().map(|word| word.as_bytes()).collect();
    run_bytes(script, keys, &arguments)
}

fn run_bytes(script: &Lua, keys: &[&str], arguments: &[&[u8]]) -> Reply {
    let count = keys.len().to_string();
    let keys: Vec<_> = keys.iter().map(|key| key.as_bytes()).collect();
    let begin: [&[u8]; 3] = [b"EVAL", script.source.as_bytes(), count.as_bytes()];
    server().cmd(&[&begin, &keys[..], arguments].concat()).ok()
}

/// The server's clock in microseconds.
fn now() -> i64 {
    let time = cmd(&["TIME"]);
    time.list()[0].int() * SECOND + time.list()[1].int()
}

/// How long the scripts keep a bucket above its capacity: a day.
const DAY: &[u8] = b"86400000000";

/// Draws `wanted` from a slot of an owner with this interval and burst; returns the script's answer. The bucket has a
/// former name if one is given.
fn draw_from(keys: &[&str], slot: u8, [interval, burst, wanted]: [i64; 3]) -> Vec<i64> {
    let former = if keys.len() > 1 { 2 } else { 0 };
    let wanted = u32::try_from(wanted).unwrap();
    let numbers = [interval, interval * burst].map(i64::to_be_bytes).concat();
    let amounts = [wanted, 1].map(u32::to_be_bytes).concat();
    let draw = [&[0, 1, 0, former, slot, 0], &numbers[..], &amounts].concat();
    run_bytes(&DRAW, keys, &[b"", DAY, &draw])
        .list()
        .iter()
        .map(Reply::int)
        .collect()
}

/// Draws from the first slot.
fn draw(owner: &str, interval: i64, burst: i64, wanted: i64) -> Vec<i64> {
    draw_from(&[owner], 1, [interval, burst, wanted])
}

fn give_back(owner: &str, count: i64, reserve: i64) {
    let numbers = [count, reserve].map(i64::to_be_bytes).concat();
    let back = [&[0, 1, 0, 0, 1], &numbers[..]].concat();
    run_bytes(&GIVE_BACK, &[owner], &[b"", DAY, &back]);
}

/// The stored buckets of an owner.
fn stored(owner: &str) -> Vec<i64> {
    let reply = cmd(&["GET", owner]);
    let (buckets, rest) = reply.bytes().as_chunks::<8>();
    assert!(rest.is_empty(), "eight bytes a slot");
    buckets.iter().copied().map(i64::from_be_bytes).collect()
}

/// Checks that the key expires `span` microseconds from now, or at most ten seconds earlier.
fn is_kept_for(key: &str, span: i64) {
    let left = cmd(&["PTTL", key]).int() * 1000;
    assert!(
        left <= span && left > span - 10 * SECOND,
        "{key} is kept for {left} us, and {span} are wanted"
    );
}

#[test]
fn send_03_a_bucket_is_kept_until_it_is_full_again() {
    let bucket = name("q");
    assert_eq!(draw(&bucket, MINUTE, 10, 10), [10]);
    is_kept_for(&bucket, 10 * MINUTE);
    let full_at = stored(&bucket)[0];
    assert!(
        (full_at - now() - 10 * MINUTE).abs() < 10 * SECOND,
        "in microseconds of the server's clock"
    );
    assert_eq!(draw(&bucket, MINUTE, 10, 1)[0], -1, "nothing is left");
    is_kept_for(&bucket, 10 * MINUTE);
}

#[test]
fn send_03_what_is_drawn_one_by_one_is_kept_as_long_as_what_is_drawn_at_once() {
    let bucket = name("q");
    for nth in 1..=5 {
        assert_eq!(draw(&bucket, HOUR, 5, 1), [1]);
        is_kept_for(&bucket, nth * HOUR);
    }
    let answer = draw(&bucket, HOUR, 5, 1);
    assert!(
        answer[0] == -1 && -answer[1] <= HOUR && -answer[1] > HOUR - 10 * SECOND,
        "{answer:?}"
    );
}

#[test]
fn a_bucket_that_is_full_within_a_millisecond_is_kept_at_all() {
    let bucket = name("q");
    assert_eq!(draw(&bucket, 1, 10, 10), [10], "and no error of the server");
}

#[test]
fn send_15_what_is_given_back_shortens_the_time_and_what_is_beyond_is_kept_for_a_day() {
    let bucket = name("q");
    draw(&bucket, MINUTE, 10, 10);
    give_back(&bucket, 4 * MINUTE, 0);
    is_kept_for(&bucket, 6 * MINUTE);
    give_back(&bucket, 60 * MINUTE, 0);
    assert!(
        cmd(&["GET", &bucket]).is_nil(),
        "without a reserve it is full and no more"
    );
    give_back(&bucket, 3 * MINUTE, 5 * MINUTE);
    give_back(&bucket, 3 * MINUTE, 5 * MINUTE);
    assert_eq!(stored(&bucket), [-5 * MINUTE], "no more than the reserve");
    is_kept_for(&bucket, 24 * HOUR);
    assert_eq!(draw(&bucket, MINUTE, 10, 2), [2]);
    assert_eq!(stored(&bucket), [-3 * MINUTE]);
    is_kept_for(&bucket, 24 * HOUR);
    give_back(&bucket, MINUTE, MINUTE);
    assert_eq!(
        stored(&bucket),
        [-3 * MINUTE],
        "what it holds beyond is not taken away"
    );
    assert_eq!(draw(&bucket, MINUTE, 10, 100), [13]);
}

#[test]
fn send_03_an_owner_is_kept_until_the_last_of_its_buckets_is_full() {
    let owner = name("q");
    // The longest is neither the first bucket nor the last, and not the one drawn from last.
    assert_eq!(draw_from(&[&owner], 2, [HOUR, 2, 2]), [2]);
    assert_eq!(draw_from(&[&owner], 6, [MINUTE, 10, 1]), [1]);
    is_kept_for(&owner, 2 * HOUR);
    let buckets = stored(&owner);
    assert_eq!(buckets.len(), 6, "as many slots as were used");
    assert_eq!([0, 2, 3, 4].map(|slot| buckets[slot]), [0; 4]);
    assert!(buckets[5] < buckets[1] && buckets[5] > now());
    assert_eq!(draw_from(&[&owner], 1, [MINUTE, 10, 10]), [10]);
    assert_eq!(stored(&owner)[1..], buckets[1..], "and the others stay");
    is_kept_for(&owner, 2 * HOUR);
}

#[test]
fn send_14_a_bucket_that_has_a_former_name_continues_there_once() {
    let (owner, former) = (name("q"), name("former"));
    cmd(&["SET", &former, &(now() + 6 * MINUTE).to_string()]);
    let keys = [owner.as_str(), former.as_str()];
    assert_eq!(
        draw_from(&keys, 3, [MINUTE, 10, 100]),
        [4],
        "six are missing"
    );
    is_kept_for(&owner, 10 * MINUTE);
    let left = cmd(&["GET", &former]).int() - now();
    assert!(left <= 6 * MINUTE, "the former one is only read: {left}");
    assert_eq!(draw_from(&keys, 3, [MINUTE, 10, 1])[0], -1);
    assert_eq!(
        draw_from(&keys, 4, [MINUTE, 10, 100]),
        [4],
        "each bucket begins where its own former one was"
    );
    cmd(&["SET", &former, &(-3 * MINUTE).to_string()]);
    assert_eq!(draw_from(&keys, 5, [MINUTE, 10, 100]), [13]);
    let full = name("former");
    cmd(&["SET", &full, &(now() - MINUTE).to_string()]);
    assert_eq!(draw_from(&[&owner, &full], 1, [MINUTE, 10, 100]), [10]);
}

struct Place {
    record: String,
    due: String,
    events: String,
    news: String,
}

impl Place {
    fn new() -> Self {
        Self {
            record: name("r"),
            due: name("due"),
            events: name("events"),
            news: name("n"),
        }
    }

    fn commit(&self, arguments: &[&str]) -> i64 {
        run(
            &COMMIT,
            &[&self.record, &self.due, &self.events, &self.news],
            arguments,
        )
        .int()
    }
}

const ONE: &str = "token-000001";
const TWO: &str = "token-000002";
const MEMBER: &str = "sixteen bytes...";
/// The record key stored with events: a separate argument.
const OWNER: &str = "whose event it is";

#[test]
fn store_01_a_commit_on_another_token_leaves_nothing_at_all() {
    let place = Place::new();
    assert_eq!(
        place.commit(&[
            "",
            &format!("{ONE}first"),
            "",
            "",
            "7",
            MEMBER,
            OWNER,
            "*",
            "event"
        ]),
        0
    );
    for expected in [TWO, "", "token-00000"] {
        assert_eq!(
            place.commit(&[
                expected,
                &format!("{TWO}second"),
                "",
                "",
                "9",
                MEMBER,
                OWNER,
                "*",
                "event"
            ]),
            -1
        );
        assert_eq!(
            place.commit(&[expected, "", "", "", "", MEMBER, OWNER, "*"]),
            -1
        );
    }
    assert_eq!(cmd(&["GET", &place.record]).text(), format!("{ONE}first"));
    assert_eq!(cmd(&["ZSCORE", &place.due, MEMBER]).text(), "7");
    assert_eq!(cmd(&["XLEN", &place.events]).int(), 1);
}

#[test]
fn store_17_a_record_is_kept_as_long_as_it_is_said_and_for_ever_if_nothing_is() {
    let place = Place::new();
    place.commit(&[
        "",
        &format!("{ONE}a"),
        "PX",
        "600000",
        "",
        MEMBER,
        OWNER,
        "*",
    ]);
    is_kept_for(&place.record, 10 * MINUTE);
    let until = (now() + 20 * MINUTE) / 1000;
    place.commit(&[
        ONE,
        &format!("{TWO}b"),
        "PXAT",
        &until.to_string(),
        "",
        MEMBER,
        OWNER,
        "*",
    ]);
    is_kept_for(&place.record, 20 * MINUTE);
    place.commit(&[TWO, &format!("{ONE}c"), "", "", "", MEMBER, OWNER, "*"]);
    assert_eq!(
        cmd(&["PTTL", &place.record]).int(),
        -1,
        "GUESS-08: a count is kept for ever"
    );
    assert_eq!(cmd(&["EXISTS", &place.due]).int(), 0);
    place.commit(&[ONE, "", "", "", "", MEMBER, OWNER, "*"]);
    assert_eq!(cmd(&["EXISTS", &place.record]).int(), 0);
}

/// The answer of the trim script: events older than the time, younger ones, entries deleted, and entries left.
fn trim(events: &str, before_ms: u64, most: u64, step: u64) -> [i64; 4] {
    let arguments = [before_ms, most, step].map(|number| number.to_string());
    let answer = run(&TRIM, &[events], &arguments.each_ref().map(String::as_str));
    let numbers: Vec<i64> = answer.list().iter().map(Reply::int).collect();
    numbers.try_into().unwrap()
}

fn ids(events: &str) -> Vec<String> {
    let all = cmd(&["XRANGE", events, "-", "+"]);
    all.list().iter().map(|row| row.list()[0].text()).collect()
}

#[test]
fn log_06_the_oldest_events_make_room_and_each_is_counted() {
    let events = name("events");
    assert_eq!(trim(&events, 9, 0, 10), [0, 0, 0, 0], "nothing is there");
    for (id, count) in [("1-0", 1), ("1-1", 2), ("5-0", 3), ("6-0", 1), ("7-0", 4)] {
        let mut add = vec!["XADD", &events, id, "k", OWNER];
        add.extend(["e", "sealed"].repeat(count));
        cmd(&add);
    }
    assert_eq!(trim(&events, 1, 5, 10), [0, 0, 0, 5]);
    assert_eq!(trim(&events, 6, 4, 2), [3, 0, 2, 3], "a step at a time");
    assert_eq!(ids(&events), ["5-0", "6-0", "7-0"]);
    assert_eq!(
        trim(&events, 6, 1, 10),
        [3, 1, 2, 1],
        "by age, and then by number"
    );
    assert_eq!(ids(&events), ["7-0"]);
    assert_eq!(trim(&events, 7, 1, 10), [0, 0, 0, 1]);
    assert_eq!(trim(&events, 8, 1, 10), [4, 0, 1, 0]);
    cmd(&["XADD", &events, "8-0", "theirs", "x"]);
    assert_eq!(trim(&events, 9, 1, 10), [0, 0, 1, 0], "of another program");
}

#[test]
fn log_06_the_events_of_a_commit_are_one_entry() {
    let place = Place::new();
    let arguments = ["", ONE, "", "", "", MEMBER, OWNER, "*", "a", "b", "c"];
    assert_eq!(place.commit(&arguments), 0);
    let all = cmd(&["XRANGE", &place.events, "-", "+"]);
    assert_eq!(all.list().len(), 1);
    let fields: Vec<_> = all.list()[0].list()[1]
        .list()
        .iter()
        .map(Reply::text)
        .collect();
    assert_eq!(fields, ["k", OWNER, "e", "a", "e", "b", "e", "c"]);
    assert_eq!(place.commit(&[ONE, TWO, "", "", "", MEMBER, OWNER, "*"]), 0);
    assert_eq!(
        ids(&place.events).len(),
        1,
        "a commit without events adds no entry"
    );
}

/// What a commit may change: the record, its due time, and the number of entries.
type Left = (Option<String>, Option<String>, i64);

impl Place {
    fn left(&self) -> Left {
        let text = |reply: Reply| (!reply.is_nil()).then(|| reply.text());
        let entries = cmd(&["XLEN", &self.events]).int();
        let due = text(cmd(&["ZSCORE", &self.due, MEMBER]));
        (text(cmd(&["GET", &self.record])), due, entries)
    }

    /// Commits as a user without some commands; returns the error of the server.
    fn refused(&self, without: &str, arguments: &[&str]) -> String {
        let user = name("user");
        let mut rights = vec!["ACL", "SETUSER", &user, "on", ">pw", "~*", "&*", "+@all"];
        rights.extend(without.split(' '));
        cmd(&rights);
        let mut client = server().client().unwrap();
        client.call(&["AUTH", &user, "pw"]).unwrap().ok();
        let keys = [&self.record, &self.due, &self.events, &self.news].map(String::as_str);
        let call = [&["EVAL", COMMIT.source, "4"], &keys[..], arguments].concat();
        let reply = client.call(&call).unwrap();
        let error = reply.error().map(str::to_owned);
        error.unwrap_or_else(|| panic!("without {without}: {reply:?}"))
    }
}

#[test]
fn store_22_whatever_right_is_missing_nothing_of_the_commit_stays() {
    let put = |expect: &'static str, due: &'static str| {
        vec![
            expect, TWO, "PX", "60000", due, MEMBER, OWNER, "*", "a", "b",
        ]
    };
    let delete = vec![ONE, "", "", "", "", MEMBER, OWNER, "*", "a"];
    let commits = [
        ("a new record", None, put("", "9")),
        ("a record that stays due", Some("7"), put(ONE, "9")),
        ("a record that was not due", Some(""), put(ONE, "9")),
        ("a record that is due no longer", Some("7"), put(ONE, "")),
        ("a record that is deleted", Some("7"), delete),
    ];
    for (what, before, arguments) in &commits {
        for right in [
            "getrange", "zscore", "xlen", "xadd", "xdel", "zadd", "zrem", "set", "del",
        ] {
            let is_used = match right {
                "set" => !arguments[1].is_empty(),
                "del" => arguments[1].is_empty(),
                _ => true,
            };
            if !is_used {
                continue;
            }
            let place = Place::new();
            if let Some(due) = before {
                place.commit(&["", ONE, "", "", due, MEMBER, OWNER, "*", "first"]);
            }
            let left = place.left();
            // Redis 7.0 does not say which command it was.
            place.refused(&format!("-{right}"), arguments);
            assert_eq!(place.left(), left, "{what}, without {right}");
        }
    }
    let place = Place::new();
    let error = place.refused("-xdel -set", &commits[0].2);
    assert!(
        error.contains("XDEL"),
        "what cannot be undone is not begun: {error}"
    );
    assert_eq!(place.left(), (None, None, 0));
}

#[test]
fn store_22_a_key_of_another_type_stops_the_commit_before_its_first_write() {
    let arguments = ["", ONE, "", "", "9", MEMBER, OWNER, "*", "a"];
    for wrong in ["due", "events"] {
        let place = Place::new();
        let (key, other) = match wrong {
            "due" => (&place.due, &place.events),
            _ => (&place.events, &place.due),
        };
        cmd(&["SET", key, "theirs"]);
        let keys = [&place.record, &place.due, &place.events, &place.news].map(String::as_str);
        let call = [&["EVAL", COMMIT.source, "4"], &keys[..], &arguments].concat();
        let reply = server().cmd(&call);
        let error = reply.error().unwrap_or_default();
        assert!(error.starts_with("WRONGTYPE"), "{wrong}: {error}");
        assert_eq!(cmd(&["GET", key]).text(), "theirs");
        assert_eq!(cmd(&["EXISTS", &place.record, other]).int(), 0, "{wrong}");
    }
}

#[test]
fn store_22_news_that_may_not_be_published_stops_no_commit() {
    let place = Place::new();
    let user = name("user");
    cmd(&[
        "ACL",
        "SETUSER",
        &user,
        "on",
        ">pw",
        "~*",
        "resetchannels",
        "+@all",
    ]);
    let mut client = server().client().unwrap();
    client.call(&["AUTH", &user, "pw"]).unwrap().ok();
    let keys = [&place.record, &place.due, &place.events, &place.news].map(String::as_str);
    let arguments = ["", ONE, "", "", "9", MEMBER, OWNER, "*", "a"];
    let call = [&["EVAL", COMMIT.source, "4"], &keys[..], &arguments].concat();
    assert_eq!(client.call(&call).unwrap().ok().int(), 0);
    assert_eq!(
        place.left(),
        (Some(ONE.to_owned()), Some("9".to_owned()), 1)
    );
}

#[test]
fn a_process_that_gives_no_sign_of_life_is_forgotten_and_the_others_are_told_in_order() {
    let processes = name("processes");
    let gone = (now() - 6 * SECOND).to_string();
    let alive = (now() - 3 * SECOND).to_string();
    cmd(&["ZADD", &processes, &gone, "gone", &alive, "alive"]);
    let answer = run(&BEAT, &[&processes], &["me", &(5 * SECOND).to_string()]);
    assert_eq!(
        answer.list().iter().map(Reply::text).collect::<Vec<_>>(),
        ["alive", "me"]
    );
    assert!(
        (cmd(&["ZSCORE", &processes, "me"])
            .text()
            .parse::<f64>()
            .unwrap()
            - now() as f64)
            .abs()
            < 10.0 * SECOND as f64
    );
    is_kept_for(&processes, HOUR);
}
