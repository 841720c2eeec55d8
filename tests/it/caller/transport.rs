//! The transport: limits of size, streams and time, and panics that affect only their own call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use countersign::{
    app::Machine,
    domain::{caller::api_key_hash, time::Timestamp},
    pb::v1,
    ports::system::Clock,
    system::SystemClock,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::{Code, transport::Endpoint};

use crate::harness::{
    Harness, PATIENCE, Setup, http::get, login, reason, retry_after, shape, with_key,
};

#[tokio::test]
async fn net_01_a_message_above_sixteen_kib_is_refused() {
    let service = Harness::new().await;
    let request = v1::StartVerificationRequest {
        subject: "x".repeat(17 * 1024),
        ..login("s")
    };
    assert_eq!(
        shape(service.start(request).await),
        (Code::InvalidArgument, "MESSAGE_MALFORMED".to_owned())
    );
    service.start(login("s")).await.unwrap();
}

#[tokio::test]
async fn net_02_streams_above_the_limit_of_a_caller_are_shed() {
    let service = Setup::default()
        .with("GRPC__MAX_WATCHES_PER_CALLER", "2")
        .start()
        .await;
    let v = service.start(login("s")).await.unwrap();
    let watch = || v1::WatchVerificationRequest {
        verification_id: v.verification_id.clone(),
    };
    let mut client = service.client.clone();
    let first = client
        .watch_verification(service.request(watch()))
        .await
        .unwrap();
    let _second = client
        .watch_verification(service.request(watch()))
        .await
        .unwrap();
    let third = shape(
        client
            .watch_verification(service.request(watch()))
            .await
            .map(|_| ()),
    );
    assert_eq!(third, (Code::ResourceExhausted, "OVERLOADED".to_owned()));
    drop(first);
    let again = async {
        while client
            .watch_verification(service.request(watch()))
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again)
        .await
        .expect("a dropped stream makes room");
}

#[tokio::test]
async fn net_02_one_caller_leaves_streams_for_the_others() {
    let key = |name: &str| hex::encode(api_key_hash(name));
    let callers = ["one", "two", "three"].map(|name| {
        format!(
            "[callers.{name}]\ntenant = \"default\"\nroles = [\"frontend\"]\napi_key_sha256 = \"{}\"\n",
            key(name)
        )
    });
    let service = Setup::default()
        .file(&callers.concat())
        .with("GRPC__MAX_WATCHES", "3")
        .with("GRPC__MAX_WATCHES_PER_CALLER", "2")
        .start()
        .await;
    let v = service.start(login("s")).await.unwrap();
    let watch = async |caller: &str| {
        let request = v1::WatchVerificationRequest {
            verification_id: v.verification_id.clone(),
        };
        let mut client = service.client.clone();
        client.watch_verification(with_key(caller, request)).await
    };
    let full = (Code::ResourceExhausted, "OVERLOADED".to_owned());
    let _greedy = [watch("one").await.unwrap(), watch("one").await.unwrap()];
    let refused = watch("one").await.map(drop);
    assert!(
        refused
            .as_ref()
            .unwrap_err()
            .message()
            .contains("max_watches_per_caller")
    );
    assert_eq!(shape(refused), full);
    let _other = watch("two")
        .await
        .expect("there is room for another caller");
    let refused = watch("three").await.map(drop);
    assert!(
        refused
            .as_ref()
            .unwrap_err()
            .message()
            .contains("grpc.max_watches)")
    );
    assert_eq!(shape(refused), full);
}

#[tokio::test]
async fn net_02_a_connection_has_a_bounded_number_of_streams() {
    let service = Harness::new().await;
    let mut stream = TcpStream::connect(service.reach.grpc).await.unwrap();
    // The preface and an empty SETTINGS frame (RFC 9113 §3.4, §6.5).
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut header = [0; 9];
    stream.read_exact(&mut header).await.unwrap();
    assert_eq!(header[3], 4, "the server speaks first with SETTINGS");
    let mut settings = vec![0; usize::from(header[1]) * 256 + usize::from(header[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let value = |id: u8| {
        let entry = settings
            .chunks(6)
            .find(|entry| entry[0] == 0 && entry[1] == id)
            .unwrap();
        u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]])
    };
    assert_eq!(value(3), 128, "SETTINGS_MAX_CONCURRENT_STREAMS");
    assert_eq!(
        value(6),
        16 * 1024,
        "SETTINGS_MAX_HEADER_LIST_SIZE (NET-04)"
    );
}

#[tokio::test]
async fn net_02_connections_above_the_limit_are_closed() {
    let service = Setup::default()
        .with("GRPC__MAX_CONNECTIONS", "2")
        .start()
        .await;
    let _one_more = TcpStream::connect(service.reach.grpc).await.unwrap();
    let mut shed = TcpStream::connect(service.reach.grpc).await.unwrap();
    let mut byte = [0];
    let end = tokio::time::timeout(PATIENCE, shed.read(&mut byte))
        .await
        .expect("it is closed, not left waiting");
    assert_eq!(end.unwrap_or(0), 0);
    service
        .start(login("s"))
        .await
        .expect("who was there first is not touched");
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads frames until the peer says GOAWAY or closes.
async fn ends(stream: &mut TcpStream) -> bool {
    let read = async {
        loop {
            let mut header = [0; 9];
            if stream.read_exact(&mut header).await.is_err() {
                return true;
            }
            let mut payload = vec![0; usize::from(header[1]) * 256 + usize::from(header[2])];
            if header[3] == 7 || stream.read_exact(&mut payload).await.is_err() {
                return true;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap_or(false)
}

#[tokio::test]
async fn net_03_rapid_resets_end_the_connection_and_touch_nobody_else() {
    let service = Harness::new().await;
    let mut stream = TcpStream::connect(service.reach.grpc).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // HPACK: `:method POST`, `:scheme http`, `:path /`, all from the static table.
    let headers = [0x83, 0x86, 0x84];
    let mut flood = Vec::new();
    for n in 0..5000_u32 {
        flood.extend(frame(1, 4, 2 * n + 1, &headers));
        flood.extend(frame(3, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    // The server may close the connection during the write.
    let _ = stream.write_all(&flood).await;
    assert!(ends(&mut stream).await, "GOAWAY");
    service.start(login("s")).await.unwrap();
}

#[tokio::test]
async fn net_04_an_endless_list_of_headers_ends_the_connection() {
    let service = Harness::new().await;
    let mut stream = TcpStream::connect(service.reach.grpc).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    // A literal header without indexing, `a: ` and 100 bytes, again and again in CONTINUATION frames.
    let literal: Vec<u8> = [&[0, 1, b'a', 100][..], &[b'x'; 100]].concat();
    let mut flood = frame(1, 0, 1, &[0x83, 0x86, 0x84]);
    for _ in 0..2000 {
        flood.extend(frame(9, 0, 1, &literal.repeat(10)));
    }
    let _ = stream.write_all(&flood).await;
    assert!(ends(&mut stream).await, "GOAWAY");
    service.start(login("s")).await.unwrap();
}

#[tokio::test]
async fn net_05_a_silent_connection_is_cut() {
    let service = Harness::new().await;
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(service.reach.grpc).await.unwrap());
    }
    service
        .start(login("s"))
        .await
        .expect("a good client is not touched");
    for mut stream in silent {
        // The server's own SETTINGS come first, then the end.
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _ = end.expect("it is cut");
    }
}

#[tokio::test]
async fn net_07_reflection_health_and_metrics_are_for_operators() {
    let service = Harness::new().await;
    let (http, admin) = (service.reach.http, service.reach.admin);
    for path in ["/metrics", "/livez", "/readyz"] {
        assert!(
            get(admin, path).await.starts_with("HTTP/1.1 200"),
            "{path} on the admin listener"
        );
        assert!(
            get(http, path).await.starts_with("HTTP/1.1 404"),
            "{path} on the HTTP listener"
        );
    }
    // In production the callers' listener serves nothing but the service: see process.rs.
    let channel = Endpoint::from_shared(format!("http://{admin}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    let answer = health
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        answer.status(),
        tonic_health::pb::health_check_response::ServingStatus::Serving
    );
}

/// A clock that panics or stalls on demand.
#[derive(Default)]
struct BadClock {
    real: SystemClock,
    panics: AtomicBool,
}

#[async_trait]
impl Clock for BadClock {
    fn now(&self) -> Timestamp {
        assert!(!self.panics.swap(false, Ordering::SeqCst), "told to");
        self.real.now()
    }

    async fn sleep(&self, span: Duration) {
        self.real.sleep(span).await;
    }
}

#[tokio::test]
async fn net_13_a_panic_is_one_internal_error() {
    let clock = Arc::new(BadClock::default());
    // With a long poll, the sweep does not trigger the panic that is meant for the call.
    let setup = Setup::default().with("WORKER__POLL_MS", "60000");
    let service = setup
        .start_on(Machine {
            clock: clock.clone(),
            ..Machine::default()
        })
        .await;
    service.start(login("before")).await.unwrap();
    let mut panicked = 0;
    for n in 0..20 {
        clock.panics.store(true, Ordering::SeqCst);
        // If the call is accepted after all, the health probe has triggered the panic instead.
        if let Err(status) = service.start(login(&format!("s{n}"))).await {
            let shape = (status.code(), reason(&status), status.message().to_owned());
            assert_eq!(
                shape,
                (
                    Code::Internal,
                    "INTERNAL".to_owned(),
                    "INTERNAL: internal error".to_owned()
                )
            );
            panicked += 1;
        }
    }
    assert!(panicked > 0);
    clock.panics.store(false, Ordering::SeqCst);
    service.start(login("after")).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_is_too_fast_is_told_when() {
    let setup = Setup::default()
        .with("SHIELD__CALLS_PER_S", "1")
        .with("SHIELD__BURST", "3");
    let service = setup.start().await;
    let mut refused = None;
    for n in 0..5 {
        if let Err(status) = service.start(login(&format!("s{n}"))).await {
            refused = Some(status);
        }
    }
    let status = refused.expect("five calls at once are more than three");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "CALLER_TOO_FAST")
    );
    assert!(retry_after(&status).is_some_and(|wait| wait <= Duration::from_secs(1)));
}

#[tokio::test]
async fn net_12_errors_tell_nothing_of_the_inside() {
    let service = Harness::new().await;
    let mut client = service.client.clone();
    let answers = [
        client
            .start_verification(v1::StartVerificationRequest::default())
            .await
            .map(|_| ()),
        client
            .start_verification(service.request(v1::StartVerificationRequest::default()))
            .await
            .map(|_| ()),
        client
            .check_code(service.request(v1::CheckCodeRequest::default()))
            .await
            .map(|_| ()),
        client
            .get_verification(service.request(v1::GetVerificationRequest::default()))
            .await
            .map(|_| ()),
        client
            .cancel_verification(service.request(v1::CancelVerificationRequest::default()))
            .await
            .map(|_| ()),
        client
            .resend_code(service.request(v1::ResendCodeRequest::default()))
            .await
            .map(|_| ()),
    ];
    for answer in answers {
        let status = answer.expect_err("an empty request is refused");
        let all = format!(
            "{} {}",
            status.message(),
            String::from_utf8_lossy(status.details())
        );
        for inner in [
            "src/",
            ".rs",
            "panicked",
            "redb",
            "tonic",
            env!("CARGO_PKG_VERSION"),
            "/tmp",
            "/home",
        ] {
            assert!(!all.contains(inner), "{all} tells {inner}");
        }
    }
}
