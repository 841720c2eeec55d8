//! Service processes that are killed or replaced while they share one Redis.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use countersign::pb::v1::{self, Verdict};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::bed::eventually;
use crate::{
    harness::{
        Client, PATIENCE,
        binary::{Process, borrowed, mail_settings},
        check_request, login, reason, scaled,
        sink::{Sink, code, header},
        unique, with_key,
    },
    rig::{Options, RedisServer},
};

const KILLS: usize = scaled(5, 50);
/// How often each process is replaced.
const RESTARTS: usize = scaled(2, 20);

fn settings(sink: &Sink, server: &RedisServer) -> Vec<(String, String)> {
    let mut settings = mail_settings(sink);
    settings.push(("STORE__URL".to_owned(), server.url()));
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn rf19_kills_in_mid_send_lose_nothing_and_duplicate_one_at_most() {
    let (dir, sink, server) = (
        tempfile::tempdir().unwrap(),
        Sink::start().await,
        RedisServer::start(&Options::default()),
    );
    let settings = settings(&sink, &server);
    let mut started = Vec::new();
    for round in 0..KILLS {
        let process = Process::start(dir.path(), &borrowed(&settings));
        let mut client = process.client().await;
        let before = sink.mails().len();
        let answer = client
            .start_verification(with_key(&process.key, login(&format!("s-{round}"))))
            .await
            .unwrap();
        started.push(answer.into_inner().verification.unwrap().verification_id);
        // At a random moment: before, during or after the hand-over.
        if round % 2 == 0 {
            sink.wait_for(before + 1).await;
        }
        process.kill();
    }
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut client = process.client().await;
    for id in &started {
        eventually("every message to be reported", async || {
            let request = v1::GetVerificationRequest {
                verification_id: id.clone(),
            };
            let v = client
                .clone()
                .get_verification(with_key(&process.key, request))
                .await
                .unwrap()
                .into_inner()
                .verification;
            v.unwrap().deliveries[0].status() == v1::DeliveryStatus::Sent
        })
        .await;
    }
    let mut codes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mail in sink.mails() {
        codes
            .entry(header(&mail, "Message-ID"))
            .or_default()
            .push(code(&mail));
    }
    assert_eq!(codes.len(), started.len(), "one message for each start");
    assert!(
        codes
            .values()
            .all(|codes| codes.len() <= 2 && codes.iter().all(|code| *code == codes[0])),
        "{codes:?}"
    );
    let duplicates: usize = codes.values().map(|codes| codes.len() - 1).sum();
    println!("{KILLS} kills, {duplicates} duplicates");
    assert!(duplicates <= KILLS);
    let last = started.last().unwrap();
    let request = v1::GetVerificationRequest {
        verification_id: last.clone(),
    };
    let v = client
        .get_verification(with_key(&process.key, request))
        .await
        .unwrap()
        .into_inner()
        .verification
        .unwrap();
    let delivery = &v.deliveries[0].delivery_id;
    let (_, right) = codes
        .iter()
        .find(|(id, _)| id.contains(delivery.as_str()))
        .expect("its mail names the delivery");
    let request = with_key(&process.key, check_request(last, &right[0], &unique("a")));
    assert_eq!(
        client
            .check_code(request)
            .await
            .unwrap()
            .into_inner()
            .verdict(),
        Verdict::Approved
    );
}

/// The current addresses of the two processes.
type Fleet = Arc<Mutex<Vec<String>>>;

#[tokio::test(flavor = "multi_thread")]
async fn rf20_a_rolling_restart_fails_no_call_that_a_repeat_does_not_mend() {
    let (dir, sink, server) = (
        tempfile::tempdir().unwrap(),
        Sink::start().await,
        RedisServer::start(&Options::default()),
    );
    let settings = settings(&sink, &server);
    let mut processes: Vec<Option<Process>> = (0..2)
        .map(|_| Some(Process::start(dir.path(), &borrowed(&settings))))
        .collect();
    let key = processes[0].as_ref().unwrap().key.clone();
    let fleet: Fleet = Arc::new(Mutex::new(
        processes
            .iter()
            .flatten()
            .map(|process| process.grpc.clone())
            .collect(),
    ));
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..4)
        .map(|client| tokio::spawn(call_on(fleet.clone(), key.clone(), client, stop.clone())))
        .collect();
    for turn in 0..2 * RESTARTS {
        let place = turn % 2;
        let old = processes[place].take().unwrap();
        let ended = tokio::task::spawn_blocking(move || old.terminate())
            .await
            .unwrap();
        assert_eq!(ended, 0, "it drains");
        let new = Process::start(dir.path(), &borrowed(&settings));
        fleet.lock().unwrap()[place].clone_from(&new.grpc);
        processes[place] = Some(new);
    }
    stop.cancel();
    let mut done = 0;
    for client in clients {
        done += tokio::time::timeout(PATIENCE, client)
            .await
            .expect("clients end")
            .unwrap();
    }
    println!("{done} calls over {} restarts", 2 * RESTARTS);
    assert!(done > 0);
}

/// Starts and cancels on either process; returns how many calls were answered.
async fn call_on(fleet: Fleet, key: String, client: usize, stop: CancellationToken) -> usize {
    let mut done = 0;
    while !stop.is_cancelled() {
        let start = login(&unique(&format!("c{client}")));
        let v = repeat(&fleet, client, |mut at| {
            let request = with_key(&key, start.clone());
            async move { at.start_verification(request).await }
        })
        .await;
        let request = v1::GetVerificationRequest {
            verification_id: v.into_inner().verification.unwrap().verification_id,
        };
        repeat(&fleet, client, |mut at| {
            let request = with_key(&key, request.clone());
            async move { at.get_verification(request).await }
        })
        .await;
        done += 2;
    }
    done
}

/// Sends a call with the same ids to the two processes in turn, until it is answered.
async fn repeat<T, F>(fleet: &Fleet, client: usize, call: impl Fn(Client) -> F) -> T
where
    F: Future<Output = Result<T, Status>>,
{
    for turn in client.. {
        let at = fleet.lock().unwrap()[turn % 2].clone();
        let Ok(at) = Client::connect(format!("http://{at}")).await else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        match call(at).await {
            Ok(answer) => return answer,
            // The connection may also be closed during the call.
            Err(status)
                if status.code() == Code::Unavailable
                    || status.code() == Code::Unknown
                    || status.code() == Code::Cancelled => {}
            Err(status) => panic!("{status}: {}", reason(&status)),
        }
    }
    unreachable!("turns never end")
}
