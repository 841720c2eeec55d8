//! How often the service goes to Redis for one call, and with what.

use std::sync::Arc;

use countersign::pb::v1::{DeliveryStatus, Verdict};

use crate::{
    fleet::{blocking, on},
    harness::{Harness, login, unique, wrong},
    rig::{Options, Proxy, RedisServer},
};

/// The service behind a proxy that counts.
struct Counted {
    service: Harness,
    proxy: Arc<Proxy>,
    _server: RedisServer,
}

impl Counted {
    async fn start() -> Self {
        let server = blocking(|| RedisServer::start(&Options::default())).await;
        let addr = server.addr();
        let proxy = Arc::new(blocking(move || Proxy::start(addr)).await);
        // The sweep and its signs of life are not what is counted.
        let setup = on(&proxy.url()).with("WORKER__POLL_MS", "60000").with("QUOTAS__RECIPIENT__COUNT", "1000");
        let service = setup.start().await;
        let counted = Self { service, proxy, _server: server };
        // The scripts are known, the watch of the sweep is over.
        counted.delivered("warm").await;
        counted
    }

    /// What was sent, but for what runs beside the calls: looks at who the server is, signs of life, the due index, news.
    fn sent(&self) -> Vec<String> {
        let beside = ["INFO", "ZRANGE", "HELLO", "SSUBSCRIBE", "SUNSUBSCRIBE", "XTRIM"];
        self.proxy.take_log().into_iter().filter(|name| !beside.contains(&name.as_str())).collect()
    }

    /// Starts, and waits until its delivery is reported.
    async fn delivered(&self, subject: &str) -> (String, String) {
        let (v, code) = self.service.start_and_read(login(subject)).await;
        self.service.until(&v.verification_id, |v| v.deliveries[0].status() == DeliveryStatus::Sent).await;
        (v.verification_id, code)
    }
}

fn count(sent: &[String], name: &str) -> usize {
    sent.iter().filter(|sent| *sent == name).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn store_01_a_check_is_one_load_and_one_script() {
    let counted = Counted::start().await;
    let mut least = [(usize::MAX, usize::MAX); 2];
    for n in 0..4 {
        let (id, code) = counted.delivered(&format!("s{n}")).await;
        let guesses = [(wrong(&code), Verdict::Wrong), (code.clone(), Verdict::Approved)];
        for (least, (guess, verdict)) in least.iter_mut().zip(guesses) {
            counted.sent();
            assert_eq!(counted.service.try_check(&id, &guess, &unique("a")).await.unwrap().verdict(), verdict);
            let sent = counted.sent();
            // What is left over from before may fall between: of several tries the smallest is the call's own.
            *least = (least.0.min(count(&sent, "GET")), least.1.min(count(&sent, "EVALSHA")));
        }
    }
    assert_eq!(least, [(2, 1); 2], "record and epoch, and one commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn store_01_a_start_is_a_load_a_draw_and_a_commit_and_its_delivery_a_load_and_a_commit() {
    let counted = Counted::start().await;
    // What is left over from the call before may fall between: of several tries the smallest is the call's own.
    let mut least = (usize::MAX, usize::MAX);
    for n in 0..5 {
        counted.sent();
        let (v, _) = counted.service.start_and_read(login(&format!("s{n}"))).await;
        // The report is the last thing: nothing is asked of the store to see it come.
        let mut sent = counted.sent();
        while count(&sent, "EVALSHA") < 3 {
            tokio::task::yield_now().await;
            sent.extend(counted.sent());
        }
        least = (least.0.min(count(&sent, "GET")), least.1.min(count(&sent, "EVALSHA")));
        assert_eq!(counted.service.get(&v.verification_id).await.unwrap().deliveries.len(), 1);
    }
    assert_eq!(least, (4, 3), "two loads, each of record and epoch; a draw and two commits");
}
