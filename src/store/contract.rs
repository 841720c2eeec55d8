//! The contract suite: what every store engine must do, run on each engine.

pub mod bed;
mod differential;
mod kinds;

use std::time::Duration;

use self::bed::{Bed, RATE, key, token};
use self::kinds::{
    a_record_that_is_never_due_is_not_made_due_by_a_postponement,
    a_scan_sees_each_record_with_its_beginning,
    records_of_two_kinds_are_apart_even_under_equal_hashes,
    store_21_a_postponed_record_leaves_the_head_and_stays_as_it_is,
    store_21_a_postponement_is_refused_if_the_record_moved,
};
use crate::{
    domain::time::{Generation, Timestamp},
    ports::store::{
        Blob, Commit, Committed, Draw, Drawn, Due, News, Retention, Return, Short, StoreError,
        Trimmed, Write,
    },
    store::bounds::{EVENT_BYTES_MAX, RECORD_BYTES_MAX},
};

macro_rules! contract {
    ($($fact:ident)+) => {
        mod memory {
            use super::Bed;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                super::$fact(Bed::memory()).await;
            })+
        }

        mod durable {
            use super::Bed;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                super::$fact(Bed::durable()).await;
            })+
        }

        mod redis {
            use super::Bed;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $fact() {
                super::$fact(Bed::redis().await).await;
            })+
        }
    };
}

contract! {
    an_unknown_record_is_absent
    a_record_is_loaded_as_it_was_put
    store_01_a_commit_on_another_token_writes_nothing
    store_01_of_many_commits_on_one_load_exactly_one_is_done
    store_01_a_commit_of_another_generation_writes_nothing
    a_deleted_record_leaves_no_due_entry
    due_records_come_in_the_order_of_their_times
    a_new_due_time_takes_the_place_of_the_earlier_one
    a_record_without_a_due_time_is_never_due
    time_03_nothing_goes_by_itself_however_late_it_is
    events_are_kept_in_order_and_only_with_their_commit
    an_event_without_a_change_takes_its_place_among_the_others
    log_06_a_page_splits_no_entry
    log_06_events_are_read_from_a_time
    log_06_what_exceeds_the_size_goes_first_and_is_counted_apart
    trimmed_events_are_gone_and_cursors_never_come_again
    code_14_a_quota_gives_twenty_at_once_and_then_one_in_fifteen_seconds
    quotas_are_apart
    several_quotas_give_all_or_none
    fewer_than_the_least_are_refused_or_passed_over
    what_is_given_back_can_be_drawn_again
    the_buckets_of_one_owner_are_apart
    a_watcher_hears_of_each_later_commit_of_its_record_only
    a_watcher_that_loads_after_it_watched_misses_nothing
    records_of_two_kinds_are_apart_even_under_equal_hashes
    store_21_a_postponed_record_leaves_the_head_and_stays_as_it_is
    store_21_a_postponement_is_refused_if_the_record_moved
    a_record_that_is_never_due_is_not_made_due_by_a_postponement
    a_scan_sees_each_record_with_its_beginning
    store_19_a_record_above_its_bound_is_refused
    store_19_an_event_above_its_bound_is_refused
}

async fn an_unknown_record_is_absent(bed: Bed) {
    let loaded = bed.load(1).await;
    assert_eq!(loaded.blob, None);
    assert_eq!(loaded.now, bed.now());
    assert_eq!(loaded.generation, bed.load(2).await.generation);
}

async fn a_record_is_loaded_as_it_was_put(bed: Bed) {
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    assert_eq!(bed.put(1, Some(1), 2).await, Committed::Done);
    assert_eq!(bed.load(1).await.blob, Some(Bed::blob(2)));
    assert_eq!(bed.load(2).await.blob, None, "other records are untouched");
}

async fn store_01_a_commit_on_another_token_writes_nothing(bed: Bed) {
    assert_eq!(
        bed.put(1, Some(9), 1).await,
        Committed::Conflict,
        "absent, expected present"
    );
    assert_eq!(bed.load(1).await.blob, None);
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    assert_eq!(
        bed.put(1, None, 2).await,
        Committed::Conflict,
        "present, expected absent"
    );
    assert_eq!(
        bed.put(1, Some(9), 2).await,
        Committed::Conflict,
        "present, expected another"
    );
    let delete = Commit {
        write: Write::Delete,
        ..bed.commit(1, Some(9), 0).await
    };
    assert_eq!(bed.store.commit(delete).await.unwrap(), Committed::Conflict);
    assert_eq!(bed.load(1).await.blob, Some(Bed::blob(1)));
    assert_eq!(bed.events().await.len(), 1, "a conflict leaves no event");
    assert_eq!(
        bed.due(10).await,
        Due {
            keys: vec![key(1)],
            next: None
        },
        "nor a due entry"
    );
}

async fn store_01_of_many_commits_on_one_load_exactly_one_is_done(bed: Bed) {
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    let mut rivals = tokio::task::JoinSet::new();
    for n in 2..202 {
        let commit = bed.commit(1, Some(1), n).await;
        let store = bed.store.clone();
        rivals.spawn(async move { (n, store.commit(commit).await.unwrap()) });
    }
    let winners: Vec<_> = rivals
        .join_all()
        .await
        .into_iter()
        .filter(|(_, what)| *what == Committed::Done)
        .collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(bed.load(1).await.blob, Some(Bed::blob(winners[0].0)));
    assert_eq!(bed.events().await.len(), 2);
}

async fn store_01_a_commit_of_another_generation_writes_nothing(bed: Bed) {
    let other = Commit {
        generation: Generation([0; 16]),
        ..bed.commit(1, None, 1).await
    };
    assert_eq!(bed.store.commit(other).await.unwrap(), Committed::Conflict);
    assert_eq!(bed.load(1).await.blob, None);
    assert_eq!(bed.events().await, []);
}

async fn a_deleted_record_leaves_no_due_entry(bed: Bed) {
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    let delete = Commit {
        write: Write::Delete,
        ..bed.commit(1, Some(1), 0).await
    };
    assert_eq!(bed.store.commit(delete).await.unwrap(), Committed::Done);
    assert_eq!(bed.load(1).await.blob, None);
    assert_eq!(bed.due(10).await, Due::default());
    assert_eq!(bed.put(1, None, 2).await, Committed::Done, "absent again");
}

async fn due_records_come_in_the_order_of_their_times(bed: Bed) {
    let start = bed.now();
    let at = |seconds| start.plus(Duration::from_secs(seconds));
    // Keys of several shards, inserted in an order that differs from their due times.
    for (n, seconds) in [(40, 4), (10, 1), (30, 3), (20, 2), (50, 5)] {
        assert_eq!(
            bed.put_due(n, None, Some(at(seconds))).await,
            Committed::Done
        );
    }
    assert_eq!(
        bed.due(10).await,
        Due {
            keys: vec![],
            next: Some(at(1))
        }
    );
    bed.clock.advance(Duration::from_secs(3));
    let all = Due {
        keys: vec![key(10), key(20), key(30)],
        next: Some(at(4)),
    };
    assert_eq!(
        bed.due(10).await,
        all,
        "due at its very time, the longest due first"
    );
    assert_eq!(bed.due(3).await, all);
    assert_eq!(
        bed.due(2).await,
        Due {
            keys: vec![key(10), key(20)],
            next: Some(at(3))
        },
        "the next one may be due too"
    );
    assert_eq!(
        bed.due(0).await,
        Due {
            keys: vec![],
            next: Some(at(1))
        }
    );
    bed.clock.advance(Duration::from_secs(9));
    assert_eq!(bed.due(5).await.next, None);
}

async fn a_new_due_time_takes_the_place_of_the_earlier_one(bed: Bed) {
    let at = |seconds| bed.now().plus(Duration::from_secs(seconds));
    assert_eq!(bed.put_due(1, None, Some(at(1))).await, Committed::Done);
    assert_eq!(bed.put_due(1, Some(1), Some(at(9))).await, Committed::Done);
    assert_eq!(bed.due(10).await.next, Some(at(9)));
    assert_eq!(
        bed.put_due(1, Some(1), Some(at(9))).await,
        Committed::Done,
        "the same time again"
    );
    assert_eq!(
        bed.put_due(1, Some(1), Some(bed.now())).await,
        Committed::Done
    );
    assert_eq!(
        bed.due(10).await,
        Due {
            keys: vec![key(1)],
            next: None
        }
    );
}

async fn a_record_without_a_due_time_is_never_due(bed: Bed) {
    assert_eq!(bed.put_due(1, None, Some(bed.now())).await, Committed::Done);
    assert_eq!(bed.put_due(1, Some(1), None).await, Committed::Done);
    assert_eq!(bed.due(10).await, Due::default());
    assert!(bed.load(1).await.blob.is_some());
}

async fn time_03_nothing_goes_by_itself_however_late_it_is(bed: Bed) {
    assert_eq!(bed.put_due(1, None, Some(bed.now())).await, Committed::Done);
    bed.clock.advance(Duration::from_secs(3600 * 24 * 365));
    assert_eq!(
        bed.load(1).await.blob,
        Some(Bed::blob(1)),
        "expiry is the domain's to compute"
    );
    assert_eq!(bed.due(1).await.keys, [key(1)]);
}

async fn events_are_kept_in_order_and_only_with_their_commit(bed: Bed) {
    for (n, expect) in [(1, None), (2, Some(1)), (3, Some(1)), (4, Some(2))] {
        let events = vec![vec![n, 0], vec![n, 1]];
        let commit = Commit {
            events,
            ..bed.commit(7, expect, n).await
        };
        let done = bed.store.commit(commit).await.unwrap() == Committed::Done;
        assert_eq!(done, n != 3);
    }
    let events = bed.events().await;
    let sealed: Vec<_> = events
        .iter()
        .map(|event| (event.sealed[0], event.sealed[1]))
        .collect();
    assert_eq!(sealed, [(1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 1)]);
    let cursors: Vec<_> = events.iter().map(|event| event.cursor).collect();
    assert!(cursors[0] > 0 && cursors.is_sorted());
    assert_eq!((cursors[0], cursors[2]), (cursors[1], cursors[3]));
    assert!(cursors[1] < cursors[2] && cursors[3] < cursors[4]);
    assert!(
        events
            .iter()
            .all(|event| event.key == key(7) && event.at == bed.now())
    );
    assert_eq!(bed.store.events(0, u64::MAX, 3).await.unwrap(), []);
}

async fn log_06_a_page_splits_no_entry(bed: Bed) {
    let mut expect = None;
    for n in 1..=4 {
        let commit = Commit {
            events: vec![vec![n, 0], vec![n, 1], vec![n, 2]],
            ..bed.commit(7, expect, n).await
        };
        assert_eq!(bed.store.commit(commit).await.unwrap(), Committed::Done);
        expect = Some(n);
    }
    bed.store.append(&key(8), vec![9]).await.unwrap();
    assert_eq!(bed.put(9, None, 9).await, Committed::Done);
    let events = bed.events().await;
    assert_eq!(events.len(), 14);
    let page = async |after: usize, limit| {
        let cursor = after.checked_sub(1).map_or(0, |at| events[at].cursor);
        let page = bed.store.events(0, cursor, limit).await.unwrap();
        assert_eq!(page, events[after..after + page.len()], "{after} {limit}");
        page.len()
    };
    for (after, limit, count) in [
        (0, 0, 0),
        (0, 1, 3),
        (0, 3, 3),
        (3, 4, 6),
        (9, 3, 3),
        (9, 4, 4),
        (12, 9, 2),
        (14, 9, 0),
    ] {
        assert_eq!(page(after, limit).await, count, "{after} {limit}");
    }
}

async fn log_06_events_are_read_from_a_time(bed: Bed) {
    for n in 1..=3 {
        assert_eq!(bed.put(n, None, n).await, Committed::Done);
        bed.clock.advance(Duration::from_secs(1));
    }
    let events = bed.events().await;
    let since = async |at: Timestamp| {
        let cursor = bed.store.cursor_before(0, at).await.unwrap();
        bed.store.events(0, cursor, 10).await.unwrap()
    };
    let a_bit = Duration::from_micros(1);
    assert_eq!(since(Timestamp::default()).await, events);
    for n in 0..3 {
        let at = events[n].at;
        assert_eq!(since(at).await, events[n..], "its very time");
        assert_eq!(since(at.plus(a_bit)).await, events[n + 1..]);
    }
    assert_eq!(since(bed.now()).await, []);
}

async fn log_06_what_exceeds_the_size_goes_first_and_is_counted_apart(bed: Bed) {
    for n in 1..=6 {
        let commit = Commit {
            events: vec![vec![n]; usize::from(n)],
            ..bed.commit(n, None, n).await
        };
        assert_eq!(bed.store.commit(commit).await.unwrap(), Committed::Done);
        bed.clock.advance(Duration::from_secs(1));
    }
    let all = bed.events().await;
    let trim = async |since: usize, entries_max| {
        let at = all
            .iter()
            .find(|event| usize::from(event.sealed[0]) == since);
        let keep = Retention {
            since: at.unwrap().at,
            entries_max,
        };
        bed.store.trim_events(keep).await.unwrap()
    };
    let trimmed = |old, young, fullest| Trimmed {
        old,
        young,
        fullest,
    };
    assert_eq!(trim(1, 6).await, trimmed(0, 0, 6));
    assert_eq!(
        trim(3, 3).await,
        trimmed(1 + 2, 3, 3),
        "two aged, one too many"
    );
    assert_eq!(trim(3, 3).await, trimmed(0, 0, 3));
    assert_eq!(bed.events().await, all[6..], "the youngest stay");
    assert_eq!(trim(6, 9).await, trimmed(4 + 5, 0, 1));
    assert_eq!(trim(1, 0).await, trimmed(0, 6, 0));
    assert_eq!(bed.events().await, []);
}

async fn an_event_without_a_change_takes_its_place_among_the_others(bed: Bed) {
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    bed.store.append(&key(2), vec![2]).await.unwrap();
    assert_eq!(bed.put(3, None, 3).await, Committed::Done);
    let events: Vec<_> = bed
        .events()
        .await
        .into_iter()
        .map(|event| (event.key, event.sealed))
        .collect();
    assert_eq!(
        events,
        [(key(1), vec![1]), (key(2), vec![2]), (key(3), vec![3])]
    );
}

async fn trimmed_events_are_gone_and_cursors_never_come_again(bed: Bed) {
    for n in 1..=3 {
        assert_eq!(bed.put(n, None, n).await, Committed::Done);
        bed.clock.advance(Duration::from_secs(1));
    }
    let events = bed.events().await;
    assert_eq!(bed.trim(events[1].at).await, 1, "the end itself stays");
    assert_eq!(bed.events().await, events[1..]);
    assert_eq!(bed.trim(bed.now()).await, 2);
    assert_eq!(bed.trim(bed.now()).await, 0);
    assert_eq!(bed.put(4, None, 4).await, Committed::Done);
    let next = bed.store.events(0, events[2].cursor, 10).await.unwrap();
    assert_eq!(
        next.len(),
        1,
        "an exporter that stands at the last cursor sees what comes next"
    );
}

async fn code_14_a_quota_gives_twenty_at_once_and_then_one_in_fifteen_seconds(bed: Bed) {
    let draw = async || bed.store.draw(&[one(1)]).await.unwrap();
    let taken = || Drawn::Taken(vec![1]);
    for _ in 0..20 {
        assert_eq!(draw().await, taken());
    }
    let refused = |micros| Drawn::Refused {
        place: 0,
        retry_after: Duration::from_micros(micros),
    };
    assert_eq!(draw().await, refused(15_000_000));
    bed.clock.advance(Duration::from_micros(14_999_999));
    assert_eq!(draw().await, refused(1));
    bed.clock.advance(Duration::from_micros(1));
    assert_eq!(draw().await, taken());
    assert_eq!(
        draw().await,
        refused(15_000_000),
        "a refusal takes nothing, and one time gives one"
    );
    bed.clock.advance(Duration::from_secs(300));
    for _ in 0..20 {
        assert_eq!(draw().await, taken());
    }
    assert_eq!(draw().await, refused(15_000_000));
}

/// A draw of 1 from the first bucket of an owner.
fn one(owner: u8) -> Draw {
    Draw::one([owner; 16], RATE)
}

async fn several_quotas_give_all_or_none(bed: Bed) {
    let want = |bucket, want| Draw {
        want,
        ..one(bucket)
    };
    let draw = async |draws: &[Draw]| bed.store.draw(draws).await.unwrap();
    assert_eq!(draw(&[]).await, Drawn::Taken(vec![]));
    assert_eq!(
        draw(&[want(1, 1), want(2, 15), want(3, 30)]).await,
        Drawn::Taken(vec![1, 15, 20]),
        "up to what is there"
    );
    let retry_after = Duration::from_secs(15);
    assert_eq!(
        draw(&[one(1), one(3), one(2)]).await,
        Drawn::Refused {
            place: 1,
            retry_after
        }
    );
    assert_eq!(
        draw(&[want(1, 99), want(2, 99)]).await,
        Drawn::Taken(vec![19, 5]),
        "the refused draw took from none"
    );
    bed.clock.advance(retry_after);
    assert_eq!(
        draw(&[want(1, 0), want(2, 9)]).await,
        Drawn::Taken(vec![1, 1])
    );
}

async fn fewer_than_the_least_are_refused_or_passed_over(bed: Bed) {
    let draw = async |draws: &[Draw]| bed.store.draw(draws).await.unwrap();
    let whole = |bucket, count| Draw::whole([bucket; 16], RATE, count);
    let soft = |bucket, count| Draw {
        short: Short::Skip,
        ..whole(bucket, count)
    };
    assert_eq!(
        draw(&[whole(1, 15), soft(2, 15)]).await,
        Drawn::Taken(vec![15, 15])
    );
    // Five are available: for six, one interval must pass; for seven, two.
    let refused = |place, seconds| Drawn::Refused {
        place,
        retry_after: Duration::from_secs(seconds),
    };
    assert_eq!(draw(&[one(3), whole(1, 6)]).await, refused(1, 15));
    assert_eq!(draw(&[soft(2, 6), whole(1, 7)]).await, refused(1, 30));
    assert_eq!(
        draw(&[soft(2, 6), whole(1, 2), one(3)]).await,
        Drawn::Taken(vec![0, 2, 1]),
        "passed over, and the others made"
    );
    assert_eq!(
        draw(&[soft(4, 7), soft(2, 6), one(3)]).await,
        Drawn::Taken(vec![7, 0, 1]),
        "those that may be passed over go together"
    );
    assert_eq!(
        draw(&[
            whole(2, 5),
            whole(1, 3),
            Draw::some([3; 16], RATE, 99),
            whole(4, 20)
        ])
        .await,
        Drawn::Taken(vec![5, 3, 18, 20]),
        "nothing was lost"
    );
}

async fn what_is_given_back_can_be_drawn_again(bed: Bed) {
    let all = async |bucket| {
        bed.store
            .draw(&[Draw::some([bucket; 16], RATE, 1000)])
            .await
            .unwrap()
    };
    let back = |owner, count, reserve| Return {
        owner: [owner; 16],
        slot: 0,
        former: None,
        rate: RATE,
        count,
        reserve,
    };
    let give = async |returns: &[Return]| bed.store.give_back(returns).await.unwrap();
    give(&[]).await;
    assert_eq!(all(1).await, Drawn::Taken(vec![20]));
    give(&[back(1, 3, 0), back(2, 30, 10)]).await;
    assert_eq!(
        (all(1).await, all(2).await),
        (Drawn::Taken(vec![3]), Drawn::Taken(vec![30]))
    );
    give(&[back(1, 50, 0)]).await;
    assert_eq!(
        all(1).await,
        Drawn::Taken(vec![20]),
        "without a reserve no more than full"
    );
    give(&[back(3, 7, 10)]).await;
    give(&[back(3, 7, 10)]).await;
    bed.clock.advance(Duration::from_secs(3600));
    assert_eq!(
        bed.store
            .draw(&[Draw::whole([3; 16], RATE, 12)])
            .await
            .unwrap(),
        Drawn::Taken(vec![12])
    );
    give(&[back(3, 1, 0)]).await;
    assert_eq!(
        all(3).await,
        Drawn::Taken(vec![20 - 2 + 1]),
        "the reserve first, then what the rate gives"
    );
}

async fn the_buckets_of_one_owner_are_apart(bed: Bed) {
    let of = |slot, want| Draw {
        slot,
        ..Draw::some([1; 16], RATE, want)
    };
    let draw = async |draws: &[Draw]| bed.store.draw(draws).await.unwrap();
    assert_eq!(
        draw(&[of(3, 99), of(0, 15), of(5, 1)]).await,
        Drawn::Taken(vec![20, 15, 1])
    );
    let retry_after = Duration::from_secs(15);
    let refused = Drawn::Refused {
        place: 1,
        retry_after,
    };
    assert_eq!(draw(&[of(5, 19), of(3, 1)]).await, refused);
    assert_eq!(
        draw(&[of(4, 99), of(5, 99), of(5, 99)]).await,
        Drawn::Refused {
            place: 2,
            retry_after
        },
        "a bucket that is named twice is drawn twice"
    );
    assert_eq!(
        draw(&[of(4, 99), of(5, 15), of(5, 99)]).await,
        Drawn::Taken(vec![20, 15, 4]),
        "what was refused took from none"
    );
    let back = |slot, count| Return {
        owner: [1; 16],
        slot,
        former: None,
        rate: RATE,
        count,
        reserve: 3,
    };
    bed.store
        .give_back(&[back(3, 2), back(0, 99), back(3, 1)])
        .await
        .unwrap();
    assert_eq!(
        draw(&[of(0, 99), of(1, 99), of(3, 99)]).await,
        Drawn::Taken(vec![23, 20, 3])
    );
    bed.clock.advance(retry_after);
    assert_eq!(
        draw(&[of(0, 99), of(1, 99), of(3, 99), of(4, 99), of(5, 99)]).await,
        Drawn::Taken(vec![1; 5]),
        "each refills by itself"
    );
}

async fn quotas_are_apart(bed: Bed) {
    for n in 0..20 {
        let draws = (0..21).map(|_| async { bed.store.draw(&[one(n)]).await });
        let answers = futures_util::future::join_all(draws).await;
        assert_eq!(
            answers
                .into_iter()
                .filter(|answer| matches!(answer, Ok(Drawn::Taken(_))))
                .count(),
            20
        );
    }
}

async fn a_watcher_hears_of_each_later_commit_of_its_record_only(bed: Bed) {
    assert_eq!(bed.put(1, None, 1).await, Committed::Done);
    let mut news = bed.store.watch(&key(1)).await.unwrap();
    let mut other = bed.store.watch(&key(1)).await.unwrap();
    assert!(!news.has_changed().unwrap(), "what was before is no news");
    assert_eq!(bed.put(2, None, 1).await, Committed::Done);
    assert_eq!(bed.put(1, Some(9), 2).await, Committed::Conflict);
    assert!(
        !news.has_changed().unwrap(),
        "another record and a conflict are no news"
    );
    for n in 1..5 {
        assert_eq!(bed.put(1, Some(n), n + 1).await, Committed::Done);
        hear(&mut news).await;
    }
    hear(&mut other).await;
}

/// Waits for news. An embedded store sends it before the commit is acknowledged, other stores soon after.
pub(super) async fn hear(news: &mut News) {
    tokio::time::timeout(Duration::from_secs(30), news.changed())
        .await
        .expect("there is news")
        .expect("the store lives");
}

async fn a_watcher_that_loads_after_it_watched_misses_nothing(bed: Bed) {
    assert_eq!(bed.put(1, None, 0).await, Committed::Done);
    for n in 0..100 {
        let commit = bed.commit(1, Some(n), n + 1).await;
        let store = bed.store.clone();
        let committed = tokio::spawn(async move { store.commit(commit).await.unwrap() });
        let mut news = bed.store.watch(&key(1)).await.unwrap();
        let loaded = bed.load(1).await.blob.unwrap();
        assert_eq!(committed.await.unwrap(), Committed::Done);
        if loaded.token != token(n + 1) {
            hear(&mut news).await;
        }
    }
}

async fn store_19_a_record_above_its_bound_is_refused(bed: Bed) {
    for (size, fits) in [(RECORD_BYTES_MAX + 1, false), (RECORD_BYTES_MAX, true)] {
        let blob = Blob {
            token: token(1),
            bytes: vec![7; size].into(),
        };
        let write = Write::Put {
            blob: blob.clone(),
            wake_at: Some(bed.now()),
            keep_until: None,
        };
        let answer = bed
            .store
            .commit(Commit {
                write,
                ..bed.commit(1, None, 1).await
            })
            .await;
        if fits {
            assert_eq!(answer.unwrap(), Committed::Done);
            assert_eq!(bed.load(1).await.blob, Some(blob));
        } else {
            assert!(matches!(answer, Err(StoreError::Full)));
            assert_eq!(
                (bed.load(1).await.blob, bed.due(1).await, bed.events().await),
                (None, Due::default(), vec![])
            );
        }
    }
}

async fn store_19_an_event_above_its_bound_is_refused(bed: Bed) {
    let event = vec![0; EVENT_BYTES_MAX + 1];
    assert!(matches!(
        bed.store.append(&key(1), event.clone()).await,
        Err(StoreError::Full)
    ));
    for events in [vec![event], vec![vec![]; 129]] {
        let commit = Commit {
            events,
            ..bed.commit(1, None, 1).await
        };
        assert!(matches!(
            bed.store.commit(commit).await,
            Err(StoreError::Full)
        ));
    }
    assert_eq!(bed.load(1).await.blob, None);
    assert_eq!(bed.events().await, []);
}
