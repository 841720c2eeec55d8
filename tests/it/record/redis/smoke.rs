//! One conversation of every kind on each topology.

use countersign::{
    domain::delivery::reason::Reason,
    pb::v1::{CancelReason, Channel, DeliveryStatus, Verdict, VerificationStatus},
    ports::sender::SendError,
};

use super::bed::{eventually, mend, on, settled};
use crate::{
    harness::{Harness, login, shape, unique, wrong},
    rig::{Cluster, Replicated},
};

/// Enough subjects that every master has some.
const SUBJECTS: usize = 12;

async fn conversation(service: &Harness) {
    for n in 0..SUBJECTS {
        let (v, code) = settled(service, &format!("s{n}")).await;
        let id = &v.verification_id;
        service.advance(60);
        let resent = service.try_resend(id, Channel::Unspecified).await.unwrap();
        assert_eq!(resent.deliveries.len(), 2);
        service
            .until(id, |v| v.deliveries[1].status() == DeliveryStatus::Sent)
            .await;
        assert_eq!(service.check(id, &wrong(&code)).await, Verdict::Wrong);
        // Updates arrive on the stream, which is opened before the end.
        let (closed, checked) = tokio::join!(
            service.until(id, |v| v.status() == VerificationStatus::Approved),
            service.check(id, &code),
        );
        assert_eq!(
            (closed.status(), checked),
            (VerificationStatus::Approved, Verdict::Approved)
        );
        let (v, _) = settled(service, &format!("c{n}")).await;
        let canceled = service
            .try_cancel(&v.verification_id, CancelReason::NotMe)
            .await
            .unwrap();
        assert_eq!(canceled.status(), VerificationStatus::Denied);
    }
    // The sweep closes expired verifications without a call.
    let (v, _) = settled(service, "expires").await;
    let ends = |lines: &[countersign::service::record::vault::Line]| {
        lines.iter().filter(|line| line.what == "closed").count()
    };
    let before = ends(&service.audit().await);
    service.advance(310);
    eventually("the sweep", async || ends(&service.audit().await) > before).await;
    assert_eq!(
        service.get(&v.verification_id).await.unwrap().status(),
        VerificationStatus::Expired
    );
    // A quota: malformed guesses.
    let (v, _) = settled(service, "malformed").await;
    for _ in 0..20 {
        assert_eq!(
            shape(
                service
                    .try_check(&v.verification_id, "no code", &unique("a"))
                    .await
            )
            .1,
            "CODE_MALFORMED"
        );
    }
    assert_eq!(
        shape(
            service
                .try_check(&v.verification_id, "no code", &unique("a"))
                .await
        )
        .1,
        "MALFORMED_TOO_OFTEN"
    );
    let lines = service.audit().await;
    let started = lines.iter().filter(|line| line.what == "started").count();
    assert_eq!(
        started,
        2 * SUBJECTS + 2,
        "events of all shards can be read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_sentinels_watch_serves_a_whole_conversation() {
    let bed = Replicated::with_sentinels(1);
    conversation(&on(&bed.url()).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_04_a_cluster_serves_a_whole_conversation() {
    let bed = Cluster::start();
    conversation(&on(&bed.url()).start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rf18_each_start_ends_once_whatever_its_sender_does() {
    let server = crate::rig::RedisServer::start(&crate::rig::Options::default());
    let routes =
        "[senders.spare]\nkind = \"outbox\"\n[routes.email]\nsenders = [\"outbox\", \"spare\"]\n";
    let service = on(&server.url()).file(routes).start().await;
    let retry = || SendError::failing(std::time::Duration::from_secs(2), Reason::Busy);
    let next = || SendError::broken(Reason::from_word("revoked"));
    let give_up = || SendError::about_recipient(Reason::Refused);
    for (n, answers) in [vec![retry()], vec![next()], vec![give_up()]]
        .into_iter()
        .enumerate()
    {
        let fails = n == 2;
        service.recorder.answer_with(answers);
        let v = service.start(login(&format!("s{n}"))).await.unwrap();
        let wanted = if fails {
            DeliveryStatus::Failed
        } else {
            DeliveryStatus::Sent
        };
        eventually("the delivery to end", async || {
            service.advance(1);
            mend(|| service.get(&v.verification_id))
                .await
                .unwrap()
                .deliveries[0]
                .status()
                == wanted
        })
        .await;
        let codes: std::collections::BTreeSet<_> = service
            .recorder
            .all()
            .iter()
            .filter(|message| message.verification.to_string() == v.verification_id)
            .map(|message| message.code.expose().to_owned())
            .collect();
        assert_eq!(codes.len(), 1, "never another code");
        if !fails {
            assert_eq!(
                service
                    .check(&v.verification_id, codes.first().unwrap())
                    .await,
                Verdict::Approved
            );
        }
    }
    service.advance(400);
    eventually("one end for each start", async || {
        let lines = service.audit().await;
        lines.iter().filter(|line| line.what == "closed").count() == 3
    })
    .await;
}
