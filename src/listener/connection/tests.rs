//! Peers that fall silent after a handshake, and peers that answer pings; on a manual clock.

use std::io;

use futures_util::{StreamExt as _, stream};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    time::Instant,
};

use super::*;

const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// A connection to a server with these limits, after the preface and the settings (RFC 9113, sections 3.4 and 6.5).
async fn connected() -> DuplexStream {
    let (mut ours, theirs) = duplex(64 * 1024);
    let (_, health) = tonic_health::server::health_reporter();
    let server = bounded(128, Duration::from_secs(30)).add_service(health);
    let incoming = stream::once(async { Ok::<_, io::Error>(theirs) }).chain(stream::pending());
    tokio::spawn(server.serve_with_incoming(incoming));
    ours.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    ours
}

/// The type of the next frame; answers a ping if `answer`. `None` if the connection ends.
async fn next_frame(stream: &mut DuplexStream, answer: bool) -> Option<u8> {
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
    Some(header[3])
}

#[tokio::test(start_paused = true)]
async fn net_05_a_peer_that_falls_silent_after_the_handshake_is_asked_and_then_cut() {
    let mut stream = connected().await;
    let begun = Instant::now();
    let mut asked_after = None;
    while let Some(kind) = next_frame(&mut stream, false).await {
        if kind == PING {
            asked_after.get_or_insert(begun.elapsed().as_secs());
        }
    }
    assert_eq!((asked_after, begun.elapsed().as_secs()), (Some(20), 40));
}

#[tokio::test(start_paused = true)]
async fn net_05_a_peer_that_answers_is_told_to_go_after_half_an_hour() {
    let mut stream = connected().await;
    let begun = Instant::now();
    let mut asked = 0;
    while let Some(kind) = next_frame(&mut stream, true).await {
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
