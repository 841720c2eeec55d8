//! A single server that is killed and restarts with a part of its data, or without any.

use std::sync::Arc;

use countersign::pb::v1::{Verdict, VerificationStatus};
use tonic::Code;

use super::{
    bed::{guess, guesses_until_disabled, mend, on, readyz, settled, start_again, works},
    load::Load,
};
use crate::{
    harness::{binary::binary, login, scaled, shape, unique, wrong},
    record::process::production,
    rig::{Options, RedisServer},
};

/// The number of kills under load.
const KILLS: usize = scaled(2, 50);

#[tokio::test(flavor = "multi_thread")]
async fn rf01_what_was_lost_with_a_killed_server_lives_nowhere_again() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url())
        .with("SUBJECT__FAILURE_LIMIT", "15")
        .start()
        .await;
    let (spent, spent_code) = settled(&service, "spent").await;
    let (open, open_code) = settled(&service, "open").await;
    // Everything after this is lost: more than an append-only file would lose.
    server.cmd(&["SAVE"]).ok();
    assert_eq!(
        service.check(&spent.verification_id, &spent_code).await,
        Verdict::Approved
    );
    for _ in 0..4 {
        assert_eq!(
            service
                .check(&open.verification_id, &wrong(&open_code))
                .await,
            Verdict::Wrong
        );
    }
    server.restart();
    for (v, code) in [(&spent, &spent_code), (&open, &open_code)] {
        assert_eq!(
            guess(&service, &v.verification_id, code).await,
            Err(start_again())
        );
        assert_eq!(
            guess(&service, &v.verification_id, code).await,
            Err(start_again()),
            "and so again"
        );
        assert_eq!(
            service.get(&v.verification_id).await.unwrap().status(),
            VerificationStatus::Canceled
        );
    }
    works(&service).await;
    // Ten failures are charged for the four that were lost, so five of fifteen are left.
    assert_eq!(guesses_until_disabled(&service, "open").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn rf01_older_verifications_start_again_though_nothing_was_lost() {
    let server = RedisServer::start(&Options::default().appendonly().set("appendfsync", "always"));
    let service = on(&server.url()).start().await;
    let (spent, spent_code) = settled(&service, "spent").await;
    let (open, open_code) = settled(&service, "open").await;
    let answer = service
        .try_check(&open.verification_id, &wrong(&open_code), "w")
        .await
        .unwrap();
    assert_eq!(
        service.check(&spent.verification_id, &spent_code).await,
        Verdict::Approved
    );
    server.restart();
    assert_eq!(
        guess(&service, &spent.verification_id, &spent_code).await,
        Ok(Verdict::Closed)
    );
    assert_eq!(
        guess(&service, &open.verification_id, &open_code).await,
        Err(start_again())
    );
    let repeat = service
        .try_check(&open.verification_id, &wrong(&open_code), "w")
        .await
        .unwrap();
    assert_eq!(
        (repeat.verdict(), repeat.attempts_left),
        (answer.verdict(), answer.attempts_left),
        "the first answer stands"
    );
    let resent = service
        .try_resend(
            &open.verification_id,
            countersign::pb::v1::Channel::Unspecified,
        )
        .await;
    assert_eq!(shape(resent), start_again());
}

#[tokio::test(flavor = "multi_thread")]
async fn store_06_restarts_alone_leave_one_attempt_and_an_approval_clears_them() {
    let server = RedisServer::start(&Options::default().appendonly().set("appendfsync", "always"));
    let service = on(&server.url())
        .with("SUBJECT__FAILURE_LIMIT", "15")
        .start()
        .await;
    settled(&service, "s").await;
    for _ in 0..3 {
        server.restart();
        // This call finds the record, which is then charged.
        mend(|| service.start(login("s"))).await.unwrap();
    }
    server.restart();
    let v = mend(|| service.start(login("s"))).await.unwrap();
    let code = service.code_of(&v.verification_id).await;
    assert_eq!(
        guess(&service, &v.verification_id, &code).await,
        Ok(Verdict::Approved)
    );
    assert_eq!(
        guesses_until_disabled(&service, "s").await,
        15,
        "the approval cleared the charge"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rf01_kills_under_load_approve_nothing_twice() {
    let server = RedisServer::start(&Options::default().appendonly());
    let service = Arc::new(
        on(&server.url())
            .with("STORE__DEADLINE_MS", "1000")
            .start()
            .await,
    );
    let load = Load::begin(vec![service.clone()], 4);
    for _ in 0..KILLS {
        load.goes_on(20).await;
        server.restart();
    }
    load.goes_on(20).await;
    let seen = load.end().await;
    println!(
        "{} approved over {KILLS} kills; {} mended, the longest in {:?}",
        seen.approvals.len(),
        seen.mended,
        seen.longest
    );
    let lost = seen
        .strange()
        .into_iter()
        .filter(|(_, reason)| reason != "VERIFICATION_NOT_FOUND")
        .collect::<Vec<_>>();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rf14_a_flushed_store_knows_no_old_ids_and_counts_half() {
    let server = RedisServer::start(&Options::default());
    let service = on(&server.url()).start().await;
    let (v, code) = settled(&service, "old").await;
    server.cmd(&["FLUSHALL"]).ok();
    let unknown = (Code::NotFound, "VERIFICATION_NOT_FOUND".to_owned());
    assert_eq!(
        shape(
            service
                .try_check(&v.verification_id, &code, &unique("a"))
                .await
        ),
        unknown
    );
    assert_eq!(shape(service.get(&v.verification_id).await), unknown);
    let ready = readyz(&service).await;
    assert!(
        ready.starts_with("HTTP/1.1 200") && ready.contains("degraded: forgot"),
        "{ready}"
    );
    // Of the 25 failures, 12 count as used.
    assert_eq!(guesses_until_disabled(&service, "old").await, 13);
    works(&service).await;
}

#[test]
fn rf14_an_empty_store_is_refused_in_production_until_somebody_says_so() {
    let (dir, server) = (
        tempfile::tempdir().unwrap(),
        RedisServer::start(&Options::default()),
    );
    let file = production(dir.path(), "a-real-key");
    let run = |arguments: &[&str]| {
        let mut command = binary();
        command
            .env("COUNTERSIGN__STORE__URL", server.url())
            .env("COUNTERSIGN__STORE__PLAINTEXT_ALLOWED", "true");
        command.env("COUNTERSIGN__DATA_DIR", dir.path().join("data"));
        let output = command
            .args(arguments)
            .args(["--config", &file])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (code, said) = run(&["serve"]);
    assert!(
        code == Some(1) && said.contains("countersign store init"),
        "{said}"
    );
    let (code, said) = run(&["store", "init"]);
    assert!(code == Some(0) && said.contains("is set up"), "{said}");
    let (code, said) = run(&["store", "init"]);
    assert!(
        code == Some(0) && said.contains("nothing was changed"),
        "{said}"
    );
    // The same server, empty after a restart.
    server.kill9();
    server.restart();
    let (code, said) = run(&["serve"]);
    assert!(
        code == Some(1) && said.contains("countersign store init"),
        "{said}"
    );
}
