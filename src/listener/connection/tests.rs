//! Peers that fall silent, peers that answer pings, and peers that take and give nothing; on a manual clock.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::Instant,
};
use tower::service_fn;

use super::*;
use crate::listener::{ListenerSettings, peers::Seats};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// HPACK: `:method POST`, `:scheme http`, `:path /`, all from the static table.
const POST: [u8; 3] = [0x83, 0x86, 0x84];

fn listener(proved_by: ProvedBy) -> Listener {
    Listener {
        name: "test",
        settings: ListenerSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            connections_max: 10,
            peer_connections_max: None,
            trusted_proxies: Vec::new(),
        },
        tls: None,
        proved_by,
        streams_max: 128,
        bodies: Arc::default(),
        requests: Arc::default(),
    }
}

const COMPLETE_REQUEST: ProvedBy = ProvedBy::CompleteRequest {
    deadline: Duration::from_secs(3600),
    refuse: |refused| {
        let status = match refused {
            Refused::Crowded => 503,
            Refused::Body(_) => 408,
            Refused::Late => panic!("the services of these tests are not late"),
        };
        Response::builder()
            .status(status)
            .body(Body::empty())
            .unwrap()
    },
};

/// Our end of a connection to a listener whose service reads the whole body, and admits the call if `admits`.
fn connected(proved_by: ProvedBy, admits: bool) -> DuplexStream {
    let (ours, theirs) = duplex(1024 * 1024);
    let service = service_fn(move |request: Request<Body>| {
        if admits {
            request.extensions().get::<Inbound>().unwrap().admit();
        }
        async move {
            let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            Ok::<_, Infallible>(Response::new(Body::from("done")))
        }
    });
    tokio::spawn(over(theirs, proved_by, service));
    ours
}

/// Serves one connection.
async fn over<S>(socket: DuplexStream, proved_by: ProvedBy, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    let peer = Peer::of([127, 0, 0, 1].into());
    let seat = Seats::new(10, None).take(Some(peer)).ok().unwrap();
    let connection = Connection {
        listener: Arc::new(listener(proved_by)),
        protocol: protocol(128),
        peer: ([127, 0, 0, 1], 1).into(),
        trial: Trial::new(seat, true),
        service,
        drain: CancellationToken::new(),
    };
    connection.serve(socket).await;
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection after the preface and the settings (RFC 9113, sections 3.4 and 6.5).
async fn in_http2(proved_by: ProvedBy, admits: bool) -> DuplexStream {
    let mut ours = connected(proved_by, admits);
    let preface = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &frame(SETTINGS, 0, 0, &[])[..],
    ];
    ours.write_all(&preface.concat()).await.unwrap();
    ours
}

/// The type and the payload of the next frame; answers a ping if `answer`. `None` if the connection ends.
async fn next_frame(stream: &mut DuplexStream, answer: bool) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 9];
    // The clock is manual, so waiting takes no time, and a server that never sends anything fails the test.
    let read = tokio::time::timeout(
        Duration::from_secs(24 * 3600),
        stream.read_exact(&mut header),
    )
    .await;
    read.expect("the connection ends").ok()?;
    let mut payload = vec![0; usize::from(header[1]) * 256 + usize::from(header[2])];
    stream.read_exact(&mut payload).await.ok()?;
    if answer && header[3] == PING && header[4] == 0 {
        header[4] = 1;
        stream
            .write_all(&[&header[..], &payload].concat())
            .await
            .ok()?;
    }
    Some((header[3], payload))
}

/// Makes one call and reads until its answer.
async fn call(stream: &mut DuplexStream) {
    let headers = frame(HEADERS, END_STREAM | END_HEADERS, 1, &POST);
    stream.write_all(&headers).await.unwrap();
    while next_frame(stream, true).await.expect("an answer").0 != HEADERS {}
}

#[tokio::test(start_paused = true)]
async fn net_05_a_peer_that_falls_silent_after_a_call_is_asked_and_then_cut() {
    let mut stream = in_http2(ProvedBy::AdmittedCall, true).await;
    call(&mut stream).await;
    let begun = Instant::now();
    let mut asked_after = None;
    while let Some((kind, _)) = next_frame(&mut stream, false).await {
        if kind == PING {
            asked_after.get_or_insert(begun.elapsed().as_secs());
        }
    }
    assert_eq!((asked_after, begun.elapsed().as_secs()), (Some(20), 40));
}

#[tokio::test(start_paused = true)]
async fn net_05_a_peer_that_answers_is_told_to_go_after_half_an_hour() {
    let mut stream = in_http2(ProvedBy::AdmittedCall, true).await;
    call(&mut stream).await;
    let begun = Instant::now();
    let mut asked = 0;
    while let Some((kind, _)) = next_frame(&mut stream, true).await {
        asked += u32::from(kind == PING);
        if kind == GOAWAY || begun.elapsed() > 2 * CONNECTION_AGE_MAX {
            break;
        }
    }
    assert_eq!(begun.elapsed().as_secs(), 30 * 60, "then it is told to go");
    assert!(asked > 80, "{asked}");
    while next_frame(&mut stream, true).await.is_some() {}
    assert_eq!(
        begun.elapsed(),
        CONNECTION_AGE_MAX,
        "with nothing in flight it goes at once"
    );
}

#[tokio::test(start_paused = true)]
async fn net_05_an_answer_that_nobody_takes_holds_no_connection_for_ever() {
    let mut stream = in_http2(ProvedBy::AdmittedCall, true).await;
    // SETTINGS_INITIAL_WINDOW_SIZE: nothing may be sent on a stream.
    let no_window = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    stream.write_all(&no_window).await.unwrap();
    let begun = Instant::now();
    call(&mut stream).await;
    while next_frame(&mut stream, true).await.is_some() {}
    assert_eq!(begun.elapsed(), CONNECTION_AGE_MAX + LAST_CALLS_MAX);
}

#[tokio::test(start_paused = true)]
async fn net_15_a_body_that_waits_to_be_asked_for_is_not_asked_for_if_the_answer_is_known() {
    let (mut ours, theirs) = duplex(1024);
    let refuses = service_fn(|_: Request<Body>| async {
        let refused = Response::builder().status(401);
        Ok::<_, Infallible>(refused.body(Body::empty()).unwrap())
    });
    tokio::spawn(over(theirs, COMPLETE_REQUEST, refuses));
    let request =
        b"POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 9000\r\n\r\n";
    ours.write_all(request).await.unwrap();
    let mut answer = String::new();
    ours.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn net_05_a_peer_that_sends_nothing_is_cut_after_five_seconds() {
    let mut stream = connected(COMPLETE_REQUEST, false);
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(begun.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn net_15_a_connection_without_an_admitted_call_is_told_to_go_after_ten_seconds() {
    for (with_call, admits, lives) in [
        (false, true, false),
        (true, false, false),
        (true, true, true),
    ] {
        let mut stream = in_http2(ProvedBy::AdmittedCall, admits).await;
        let begun = Instant::now();
        if with_call {
            call(&mut stream).await;
        }
        let mut is_told = false;
        while let Some((kind, _)) = next_frame(&mut stream, true).await {
            is_told |= kind == GOAWAY;
            if begun.elapsed().as_secs() > 60 {
                break;
            }
        }
        let lived = begun.elapsed().as_secs();
        assert_eq!(
            is_told, !lives,
            "a GOAWAY, so that a good client connects again"
        );
        assert!(
            if lives {
                lived > 60
            } else {
                (10..=11).contains(&lived)
            },
            "{lived} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn net_15_headers_that_trickle_end_with_the_trial() {
    let mut stream = connected(COMPLETE_REQUEST, false);
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: bank.example\r\n")
        .await
        .unwrap();
    let begun = Instant::now();
    let (mut reads, mut writes) = tokio::io::split(stream);
    let trickle = async {
        while writes.write_all(b"a: b\r\n").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reads.read_to_end(&mut rest) => {}
    }
    let lived = begun.elapsed().as_secs();
    assert!((10..=12).contains(&lived), "{lived} s");
}

#[tokio::test(start_paused = true)]
async fn net_15_one_complete_request_proves_a_browser_and_an_incomplete_one_does_not() {
    for (request, lives_s) in [
        ("GET / HTTP/1.1\r\nhost: bank.example\r\n\r\n", 30),
        (
            "POST / HTTP/1.1\r\nhost: bank.example\r\ncontent-length: 2\r\n\r\nab",
            30,
        ),
        // The body is cut after 5 s, and the connection with it.
        (
            "POST / HTTP/1.1\r\nhost: bank.example\r\ncontent-length: 2\r\n\r\na",
            5,
        ),
    ] {
        let mut stream = connected(COMPLETE_REQUEST, false);
        let begun = Instant::now();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(begun.elapsed().as_secs(), lives_s, "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn net_15_a_connection_on_trial_has_eight_streams_and_a_proved_one_has_all() {
    for (admits, refused) in [(false, 12), (true, 0)] {
        let mut stream = in_http2(COMPLETE_REQUEST, admits).await;
        let opened: Vec<u8> = (0..20)
            .flat_map(|n| frame(HEADERS, END_HEADERS, 2 * n + 1, &POST))
            .collect();
        stream.write_all(&opened).await.unwrap();
        let mut answers = 0;
        let begun = Instant::now();
        while begun.elapsed().as_secs() < 4
            && let Ok(Some((kind, _))) =
                tokio::time::timeout(Duration::from_secs(4), next_frame(&mut stream, true)).await
        {
            answers += u32::from(kind == HEADERS);
        }
        assert_eq!(answers, refused, "answered without waiting for a body");
    }
}

#[tokio::test(start_paused = true)]
async fn net_15_a_peer_may_send_64_kib_that_nobody_has_read() {
    let mut stream = in_http2(ProvedBy::AdmittedCall, false).await;
    let mut settings = None;
    while settings.is_none() {
        let (kind, payload) = next_frame(&mut stream, true).await.unwrap();
        settings = (kind == SETTINGS && !payload.is_empty()).then_some(payload);
    }
    let settings = settings.unwrap();
    let window = settings.chunks(6).find(|entry| entry[..2] == [0, 4]);
    let default = 65_535_u32.to_be_bytes();
    assert_eq!(window.map_or(&default[..], |entry| &entry[2..]), default);
    // A connection begins with the same window, and only an update could enlarge it.
    stream
        .write_all(&frame(HEADERS, END_HEADERS, 1, &POST))
        .await
        .unwrap();
    stream
        .write_all(&frame(DATA, END_STREAM, 1, b"x"))
        .await
        .unwrap();
    loop {
        let (kind, payload) = next_frame(&mut stream, true).await.unwrap();
        assert_ne!(kind, 8, "no WINDOW_UPDATE: {payload:?}");
        if kind == HEADERS {
            return;
        }
    }
}
