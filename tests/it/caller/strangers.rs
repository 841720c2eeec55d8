//! Strangers: who has no credential takes neither memory nor connections from others.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use countersign::{domain::delivery::callback::Scheme, pb::v1::Channel};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};
use tonic::transport::Endpoint;

use crate::{
    delivery::callbacks::{Bed, PUBLIC, SECRET, now, sign},
    harness::{
        Harness, PATIENCE, Setup,
        binary::{Process, borrowed},
        http::{get, http_client},
        login, scaled, shape, with_key,
    },
};

/// Connections and streams of the flood, here and in the campaign.
const CONNECTIONS: usize = scaled(250, 250);
const STREAMS: u32 = 127;
const BODY_BYTES: usize = 64 * 1024;
/// What the process may grow by.
const GROWTH_MAX_KIB: u64 = 64 * 1024;
/// The sockets of the slow peer.
const SLOW_SOCKETS: usize = 300;
/// How soon another peer must be answered.
const SOON: Duration = Duration::from_secs(1);
const START: &str = "/countersign.v1.VerificationService/StartVerification";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ANOTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of a header list in HPACK, not indexed and not compressed.
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], text(name), text(value)].concat()
}

/// An open request by POST, whose body is still to come.
fn open(stream: u32, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut list = vec![0x83, 0x86];
    list.extend(field(":path", path));
    list.extend(field(":authority", "bank.example"));
    for (name, value) in headers {
        list.extend(field(name, value));
    }
    frame(1, 4, stream, &list)
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Opens all streams on one connection, and sends as much of their bodies as the server takes; then holds on until the
/// server ends it.
async fn flood(
    address: SocketAddr,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
) {
    let Ok(mut stream) = TcpStream::connect(address).await else {
        return;
    };
    let (mut reads, mut writes) = stream.split();
    let sends = async {
        writes.write_all(PREFACE).await?;
        for n in 0..STREAMS {
            writes.write_all(&open(2 * n + 1, path, headers)).await?;
        }
        let part = vec![b'x'; 16 * 1024];
        for _ in 0..BODY_BYTES / part.len() {
            for n in 0..STREAMS {
                writes.write_all(&frame(0, 0, 2 * n + 1, &part)).await?;
            }
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let mut sink = vec![0; 64 * 1024];
    let drains = async { while reads.read(&mut sink).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        _ = sends => {}
        () = drains => {}
    }
}

/// Requests on all streams of one connection whose answers are never taken: the peer grants no window. The first one
/// is complete, so the connection is not on trial any more.
async fn hoard(address: SocketAddr, path: &'static str) {
    let get = |stream: u32| {
        let mut list = vec![0x82, 0x86];
        list.extend(field(":path", path));
        list.extend(field(":authority", "bank.example"));
        frame(1, 5, stream, &list)
    };
    let hoards = async {
        let mut stream = TcpStream::connect(address).await?;
        // SETTINGS_INITIAL_WINDOW_SIZE
        let no_window = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        stream
            .write_all(&[PREFACE, &no_window, &get(1)].concat())
            .await?;
        let mut header = [0; 9];
        while header[3] != 1 {
            stream.read_exact(&mut header).await?;
            let length = usize::from(header[1]) * 256 + usize::from(header[2]);
            stream.read_exact(&mut vec![0; length]).await?;
        }
        for n in 1..STREAMS {
            stream.write_all(&get(2 * n + 1)).await?;
        }
        let mut sink = vec![0; 64 * 1024];
        while stream.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = hoards.await;
}

/// The largest size that a process has had, in KiB.
fn peak_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_a_flood_of_bodies_without_a_credential_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mut settings = vec![
        ("HTTP__PUBLIC_URL".to_owned(), PUBLIC.to_owned()),
        ("SENDERS__P__KIND".to_owned(), "twilio".to_owned()),
        ("SENDERS__P__ACCOUNT_SID".to_owned(), "AC1".to_owned()),
        ("SENDERS__P__FROM".to_owned(), "+15005550006".to_owned()),
        (
            "SENDERS__P__AUTH_TOKEN_FILE".to_owned(),
            secret.display().to_string(),
        ),
        ("ROUTES__SMS__SENDERS".to_owned(), "p".to_owned()),
        (
            "ACTIONS__LOGIN__ENTRY_MODES".to_owned(),
            "portal,link".to_owned(),
        ),
    ];
    // The worst case: as if each connection came from another peer.
    for listener in ["GRPC", "HTTP", "ADMIN"] {
        settings.push((
            format!("{listener}__MAX_CONNECTIONS_PER_PEER"),
            "0".to_owned(),
        ));
        settings.push((format!("{listener}__MAX_CONNECTIONS"), "4096".to_owned()));
    }
    let process = Process::start(dir.path(), &borrowed(&settings));
    let mut client = process.client().await;
    client
        .start_verification(with_key(&process.key, login("before")))
        .await
        .unwrap();
    let [grpc, http, admin] = [&process.grpc, &process.http, &process.admin]
        .map(|address| address.parse::<SocketAddr>().unwrap());
    let before = peak_kib(&process);
    let form: &'static [(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];
    let signed: &'static [(&str, &str)] = &[
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-twilio-signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="),
    ];
    let call: &'static [(&str, &str)] = &[("content-type", "application/grpc")];
    let floods = [
        (grpc, START, call),
        (http, "/callbacks/p/no-such-token", form),
        (http, "/callbacks/p", signed),
        (http, "/no/such/path", form),
        (admin, "/grpc.health.v1.Health/Check", call),
    ];
    for (address, path, headers) in floods {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(flood(address, path, headers));
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        client
            .start_verification(with_key(&process.key, login(path)))
            .await
            .unwrap();
        let grown = peak_kib(&process) - before;
        assert!(grown <= GROWTH_MAX_KIB, "{path}: {grown} KiB more");
        connections.shutdown().await;
    }
    for (address, path) in [(http, "/link"), (admin, "/metrics")] {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(hoard(address, path));
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = ask_from_another(address, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let grown = peak_kib(&process) - before;
        assert!(
            grown <= GROWTH_MAX_KIB,
            "answers of {path} that nobody takes: {grown} KiB more"
        );
        connections.shutdown().await;
    }
}

/// A connection from this address of the machine.
async fn connect_from(local: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((local, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// What one peer can do to hold connections: nothing, headers that do not end, bodies that do not come, and HTTP/2
/// without a call.
async fn slow_sockets(address: SocketAddr) -> JoinSet<()> {
    let mut held = JoinSet::new();
    for n in 0..SLOW_SOCKETS {
        held.spawn(async move {
            let Ok(mut stream) = TcpStream::connect(address).await else {
                return;
            };
            let says: &[u8] = match n % 4 {
                0 => b"",
                1 => b"GET /livez HTTP/1.1\r\nhost: bank.example\r\nx: ",
                2 => {
                    b"POST /callbacks/p HTTP/1.1\r\nhost: bank.example\r\ncontent-length: 60000\r\n\
                       x-twilio-signature: AAAA\r\n\r\nx"
                }
                _ => PREFACE,
            };
            let _ = stream.write_all(says).await;
            let mut sink = [0; 1024];
            while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
            std::future::pending::<()>().await;
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    held
}

/// Sends a request from another address of the machine, which must be answered soon.
async fn ask_from_another(address: SocketAddr, request: &str) -> String {
    let ask = async {
        let mut stream = connect_from(ANOTHER, address).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(SOON, ask)
        .await
        .expect("another peer is answered soon")
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_slow_sockets_of_one_peer_take_nothing_from_another() {
    let keys =
        "account_sid = \"AC1\"\nauth_token_file = \"SECRET\"\nvoice_from = \"+15005550006\"\n";
    let bed = Bed::new(
        "twilio",
        keys,
        Channel::Voice,
        &(201, json!({"sid": "CA1"})),
    )
    .await;
    let (_, got) = bed.sent(Channel::Voice).await;
    let twiml = got["Twiml"].as_str().unwrap();
    let call_url = twiml
        .split_once("action=\"")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0;
    let call_path = call_url.strip_prefix(PUBLIC).unwrap();
    let callback_url = got["StatusCallback"].as_str().unwrap();
    let callback_path = callback_url.strip_prefix(PUBLIC).unwrap();
    let service = &bed.service;
    let post = |path: &str, body: &str| {
        let signed = sign(Scheme::Twilio, SECRET, (path, body), now(service));
        let headers: String = signed
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
    };
    let _slow = [
        slow_sockets(service.reach.http).await,
        slow_sockets(service.reach.admin).await,
        slow_sockets(service.reach.grpc).await,
    ];
    let completed = post(callback_path, "CallSid=CA1&CallStatus=completed");
    let callback = ask_from_another(service.reach.http, &completed).await;
    assert!(callback.starts_with("HTTP/1.1 204"), "{callback}");
    let pressed = post(call_path, "CallSid=CA1&Digits=5");
    let page = ask_from_another(service.reach.http, &pressed).await;
    assert!(page.contains("<Say"), "{page}");
    let livez = "GET /livez HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    let alive = ask_from_another(service.reach.admin, livez).await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    // The same peer too: its newest connection takes the place of its oldest that has proved nothing.
    let alive = tokio::time::timeout(SOON, get(service.reach.admin, "/livez")).await;
    assert!(alive.unwrap().starts_with("HTTP/1.1 200"));
    let begun = Instant::now();
    let channel = Endpoint::from_shared(format!("http://{}", service.reach.grpc))
        .unwrap()
        .local_address(Some(ANOTHER))
        .connect()
        .await
        .unwrap();
    let mut client = crate::harness::Client::new(channel);
    client
        .start_verification(service.request(login("s")))
        .await
        .unwrap();
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_connections_of_a_peer_are_limited_but_not_those_of_a_trusted_proxy() {
    for (trusted, open_of_ten) in [("192.0.2.1", 3), ("127.0.0.0/8", 10)] {
        let service = Setup::default()
            .with("HTTP__MAX_CONNECTIONS_PER_PEER", "3")
            .with("HTTP__TRUSTED_PROXIES", trusted)
            .start()
            .await;
        let mut streams = Vec::new();
        for _ in 0..10 {
            streams.push(idle_after_one_request(LOOPBACK, service.reach.http).await);
        }
        assert_eq!(still_open(streams).await, open_of_ten, "{trusted}");
        let metrics = get(service.reach.admin, "/metrics").await;
        let shed = "countersign_connections_shed_total{listener=\"http\",reason=\"displaced\"}";
        let line = metrics.lines().find(|line| line.starts_with(shed)).unwrap();
        assert!(open_of_ten == 10 || !line.ends_with(" 0"), "{line}");
    }
}

/// A connection that has made one complete request, so that it is not on trial any more.
async fn idle_after_one_request(local: IpAddr, address: SocketAddr) -> TcpStream {
    let mut stream = connect_from(local, address).await;
    let request = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"listener.\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    stream
}

/// How many of these connections the server has not closed.
async fn still_open(streams: Vec<TcpStream>) -> usize {
    let mut open = 0;
    for mut stream in streams {
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await;
        open += usize::from(read.is_err());
    }
    open
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_connections_that_many_peers_leave_idle_take_no_place_from_another() {
    let service = Setup::default()
        .with("HTTP__MAX_CONNECTIONS", "20")
        .start()
        .await;
    let mut idle = Vec::new();
    for n in 0..20 {
        let peer = Ipv4Addr::new(127, 0, 0, 10 + n).into();
        idle.push(idle_after_one_request(peer, service.reach.http).await);
    }
    let root = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    for _ in 0..5 {
        let answer = ask_from_another(service.reach.http, root).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert!(still_open(idle).await >= 15, "only as many as were needed");
}

/// Sends the head of a request whose body never comes; returns the status.
async fn judged_by_its_head(service: &Harness, head: &str) -> u16 {
    let mut stream = TcpStream::connect(service.reach.http).await.unwrap();
    let request = format!("{head}\r\nhost: h\r\ncontent-length: 60000\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = tokio::time::timeout(SOON, stream.read_exact(&mut answer));
    read.await.expect("it is judged without its body").unwrap();
    String::from_utf8_lossy(&answer[9..]).parse().unwrap()
}

#[tokio::test]
async fn net_15_a_callback_is_judged_before_its_body_is_read() {
    let keys = "account_sid = \"AC1\"\nauth_token_file = \"SECRET\"\nfrom = \"+15005550006\"\n";
    let bed = Bed::new("twilio", keys, Channel::Sms, &(201, json!({"sid": "SM1"}))).await;
    let (_, got) = bed.sent(Channel::Sms).await;
    let url = got["StatusCallback"].as_str().unwrap();
    let path = url.strip_prefix(PUBLIC).unwrap();
    let signed = "\r\nx-twilio-signature: AAAA";
    for (head, status) in [
        ("POST /callbacks/q/token HTTP/1.1".to_owned(), 404),
        ("POST /callbacks/p/token HTTP/1.1".to_owned(), 404),
        ("POST /calls/p/token HTTP/1.1".to_owned(), 404),
        ("POST /nothing HTTP/1.1".to_owned(), 404),
        (format!("PUT {path} HTTP/1.1{signed}"), 405),
        (format!("GET {path} HTTP/1.1{signed}"), 405),
        (format!("POST {path} HTTP/1.1"), 401),
        (format!("POST {path} HTTP/1.1{signed}{signed}"), 401),
        (
            format!("POST {path} HTTP/1.1{signed}\r\ncontent-type: image/png"),
            415,
        ),
        (
            format!("POST {path} HTTP/1.1{signed}\r\ncontent-type: application/json"),
            415,
        ),
    ] {
        assert_eq!(
            judged_by_its_head(&bed.service, &head).await,
            status,
            "{head}"
        );
    }
}

#[tokio::test]
async fn net_15_without_receivers_there_are_no_callbacks() {
    let service = Setup::default()
        .with("HTTP__PUBLIC_URL", PUBLIC)
        .start()
        .await;
    // Where callbacks are mounted, another method than theirs is 405.
    for path in ["/callbacks/p", "/callbacks/p/token", "/calls/p/token"] {
        for method in ["GET", "POST", "PUT"] {
            let status = judged_by_its_head(&service, &format!("{method} {path} HTTP/1.1")).await;
            assert_eq!(status, 404, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn net_15_a_batch_of_three_mib_is_taken_and_a_larger_one_is_not() {
    let keys = "phone_number_id = \"1065\"\naccess_token_file = \"SECRET\"\ntemplate = \"sign_in\"\ngraph_version = \"v21.0\"\n\
                receipts = { secret_files = [\"SECRET\"], verify_token_file = \"SECRET\" }\n";
    let reply = (200, json!({"messages": [{"id": "REF"}]}));
    let bed = Bed::new("whatsapp_cloud", keys, Channel::Whatsapp, &reply).await;
    let (id, _) = bed.sent(Channel::Whatsapp).await;
    let status = json!({"id": "REF", "status": "delivered", "recipient_id": "31612345678"});
    for (padding, expected) in [(3 * 1024 * 1024, 413), (3 * 1024 * 1024 - 4096, 204)] {
        let body = json!({"entry": [{"changes": [{"value": {"statuses": [status]}}]}], "x": "y".repeat(padding)})
            .to_string();
        let headers = sign(
            Scheme::Meta,
            SECRET,
            ("/callbacks/p", &body),
            now(&bed.service),
        );
        let url = format!("http://{}/callbacks/p", bed.service.reach.http);
        let mut request = http_client().build().unwrap().post(&url);
        let mut head = "POST /callbacks/p HTTP/1.1\r\nhost: h\r\n".to_owned();
        for (name, value) in &headers {
            request = request.header(*name, value);
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // A body without a length is judged while it arrives.
        let head = format!(
            "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n",
            body.len()
        );
        let chunked = [head.as_bytes(), body.as_bytes(), b"\r\n0\r\n\r\n"].concat();
        let mut stream = TcpStream::connect(bed.service.reach.http).await.unwrap();
        let (mut reads, mut writes) = stream.split();
        let mut answer = [0; 12];
        tokio::select! {
            // It may be refused before it is sent.
            _ = async { let _ = writes.write_all(&chunked).await; std::future::pending::<()>().await } => {}
            read = reads.read_exact(&mut answer) => drop(read.unwrap()),
        }
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer, format!("HTTP/1.1 {expected}"), "{padding}");
        assert_eq!(
            request.body(body).send().await.unwrap().status(),
            expected,
            "{padding}"
        );
    }
    let (delivered, _) = bed.delivery(&id).await;
    assert_eq!(delivered, countersign::pb::v1::DeliveryStatus::Delivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_a_connection_outlives_any_number_of_refused_calls() {
    let service = Harness::new().await;
    let mut client = service.client.clone();
    // More than the resets after which a connection is closed.
    for n in 0..1200 {
        let refused = client.start_verification(login("s")).await;
        let (code, _) = shape(refused);
        assert_eq!(code, tonic::Code::Unauthenticated, "call {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn net_15_a_good_client_meets_none_of_the_limits() {
    let service = Harness::new().await;
    // More calls at once than the connection has streams, as its very first ones.
    let channel = Endpoint::from_shared(format!("http://{}", service.reach.grpc))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let client = crate::harness::Client::new(channel);
    let mut calls = JoinSet::new();
    for n in 0..500 {
        let mut client = client.clone();
        let request = service.request(login(&format!("s{n}")));
        calls.spawn(async move { shape(client.start_verification(request).await) });
    }
    let all = tokio::time::timeout(PATIENCE, calls.join_all())
        .await
        .unwrap();
    assert!(
        all.iter().all(|(code, _)| *code == tonic::Code::Ok),
        "{all:?}"
    );
    // A client that connects early and calls late is told to go at ten seconds, and connects again by itself.
    let early = Endpoint::from_shared(format!("http://{}", service.reach.grpc))
        .unwrap()
        .connect()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(12)).await;
    let mut late = crate::harness::Client::new(early);
    late.start_verification(service.request(login("late")))
        .await
        .unwrap();
}
