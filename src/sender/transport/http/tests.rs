//! Where calls may go: checks of the URL's text, of every address, and of the connection.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::net::TcpListener;

use reqwest::header::HeaderValue;

use super::{target::host_of, *};

fn vectors() -> Vec<Value> {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/ssrf_urls.json")).unwrap();
    vectors["cases"].as_array().unwrap().clone()
}

/// The targets that the vectors assume: one public host on the default port,
/// and no internal network.
fn targets() -> Targets {
    Targets::only("https://hooks.example.com/in", Vec::new(), false).unwrap()
}

fn addresses(look_up: &Value) -> Vec<IpAddr> {
    look_up
        .as_array()
        .unwrap()
        .iter()
        .map(|address| address.as_str().unwrap().parse().unwrap())
        .collect()
}

/// A resolver that gives each lookup the next of these answers, and repeats the last one.
fn resolver(targets: Targets, answers: Vec<Vec<IpAddr>>) -> Resolver {
    let answers = Mutex::new(answers);
    let next = move |_| {
        let mut answers = answers.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers[0].clone()
        };
        Box::pin(async move { Ok(answer) }) as _
    };
    Resolver::new(targets, Arc::new(next))
}

#[test]
fn hook_03_urls_are_judged_by_their_text() {
    let mut judged = 0;
    for case in vectors().iter().filter(|case| case["stage"] == "parse") {
        let url = case["url"].as_str().unwrap();
        assert!(targets().judge(url).is_err(), "{}: {url}", case["name"]);
        // The settings would refuse such a URL too, unless it only has another public host.
        let other_host = case["why"]
            .as_str()
            .unwrap()
            .starts_with("host compared whole");
        assert!(
            other_host || Targets::only(url, Vec::new(), false).is_err(),
            "{}: {url}",
            case["name"]
        );
        judged += 1;
    }
    assert!(judged > 80, "the vectors were read");
    assert!(targets().judge("https://hooks.example.com/in?x=y").is_ok());
    assert!(targets().judge("https://hooks.example.com:443/in").is_ok());
}

#[tokio::test]
async fn hook_03_every_resolved_address_is_judged_and_only_judged_ones_are_connected() {
    let mut judged = 0;
    for case in vectors().iter().filter(|case| case["stage"] == "resolve") {
        let look_ups: Vec<_> = case["resolves_to"]
            .as_array()
            .unwrap()
            .iter()
            .map(addresses)
            .collect();
        let resolver = resolver(targets(), look_ups.clone());
        for look_up in look_ups {
            let answer = resolver
                .clone()
                .judged("hooks.example.com".to_owned())
                .await;
            // The client gets the addresses that were checked: there is no second lookup before it
            // connects.
            match answer {
                Ok(addresses) => assert_eq!(
                    addresses.iter().map(|a| a.ip()).collect::<Vec<_>>(),
                    look_up
                ),
                Err(_) => assert!(
                    look_up.iter().any(|address| !is_public(*address)),
                    "{}",
                    case["name"]
                ),
            }
        }
        judged += 1;
    }
    assert_eq!(judged, 5, "the vectors were read");
}

#[tokio::test]
async fn hook_03_a_name_that_leads_inside_is_never_connected() {
    let canary = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = canary.local_addr().unwrap().port();
    let url = format!("https://hooks.example.com:{port}/in");
    // The port is allowed, because the test needs it, but the internal network is not.
    let targets = Targets {
        hosts: vec!["hooks.example.com".to_owned()],
        allow_hosts: vec![format!("hooks.example.com:{port}")],
        plaintext: false,
    };
    let inner = Targets {
        allow_hosts: Vec::new(),
        ..targets.clone()
    };
    let client =
        Client::builder().dns_resolver(resolver(inner, vec![vec!["127.0.0.1".parse().unwrap()]]));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outgoing = HttpClient {
        client: client.build().unwrap(),
        targets,
    };
    let refused = outgoing.call(call(&url)).await.map(|reply| reply.status);
    assert_eq!(refused, Err(always_ours(Reason::AddressRefused)));
    let seen = tokio::time::timeout(Duration::from_millis(100), canary.accept()).await;
    assert!(seen.is_err(), "the canary saw nothing");
}

#[test]
fn hook_03_inner_hosts_and_ports_are_open_only_when_named() {
    let of = |url: &str, allowed: &[&str]| {
        Targets::only(
            url,
            allowed.iter().map(|&host| host.to_owned()).collect(),
            true,
        )
        .is_ok()
    };
    for url in [
        "https://10.0.0.5/in",
        "https://gateway.internal/in",
        "https://sms/in",
        "http://127.0.0.1/in",
        "https://[::1]/in",
    ] {
        assert!(!of(url, &[]), "{url}");
        assert!(!of(url, &["10.0.0.6", "internal", "127.0.0.2"]), "{url}");
        let host = host_of(url).unwrap();
        assert!(of(url, &[host.as_str()]), "{url}");
    }
    assert!(!of("https://api.example.com:8443/in", &["api.example.com"]));
    assert!(of(
        "https://api.example.com:8443/in",
        &["api.example.com:8443"]
    ));
    let named = Targets::only(
        "https://gateway.internal/in",
        vec!["gateway.internal".to_owned()],
        false,
    )
    .unwrap();
    assert!(named.permits("gateway.internal", "10.0.0.5".parse().unwrap()));
    assert!(!named.permits("other.internal", "10.0.0.5".parse().unwrap()));
}

#[test]
fn hook_03_of_many_hosts_each_is_named_whole_or_by_its_ending() {
    let of = |hosts: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        Targets::among(&hosts, &connection(Duration::from_secs(1)))
    };
    let targets = of(&["push.example.com", "*.notify.example.net"]).unwrap();
    for (url, permitted) in [
        ("https://push.example.com/x", true),
        ("https://a.push.example.com/x", false),
        ("https://push.example.com.evil.example/x", false),
        ("https://wns2.notify.example.net/x", true),
        ("https://notify.example.net/x", false),
        ("https://evilnotify.example.net/x", false),
        ("https://wns2.notify.example.net:8443/x", false),
        ("http://push.example.com/x", false),
    ] {
        assert_eq!(targets.judge(url).is_ok(), permitted, "{url}");
    }
    for wrong in [
        "https://push.example.com",
        "*",
        "*.",
        "push.example.com/x",
        "PUSH.example.com",
        "a b",
        "*.*.example.com",
        "*.com",
    ] {
        assert!(of(&[wrong]).is_err(), "{wrong}");
    }
}

#[test]
fn chan_08_plain_http_is_for_development_alone() {
    assert!(Targets::only("http://api.example.com/in", Vec::new(), false).is_err());
    assert!(
        Targets::only(
            "http://127.0.0.1:8025/in",
            vec!["127.0.0.1:8025".to_owned()],
            false
        )
        .is_err()
    );
    assert!(Targets::only("http://api.example.com/in", Vec::new(), true).is_ok());
}

#[test]
fn a_provider_cannot_ask_for_no_pause_or_for_one_beyond_the_code() {
    let wait = |seconds| {
        let again = again(Reason::Busy, Some(Duration::from_secs(seconds))).again;
        again.unwrap().as_secs()
    };
    assert_eq!([wait(0), wait(7), wait(86_400)], [1, 7, 60]);
}

#[test]
fn hook_04_a_provider_may_ask_for_a_pause_in_seconds_or_until_a_date() {
    let header = |asked: &str, date: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(asked).unwrap());
        if !date.is_empty() {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers)
    };
    let now = "Fri, 31 Dec 2027 23:59:30 GMT";
    assert_eq!(header("7", ""), Some(Duration::from_secs(7)));
    assert_eq!(
        header("Fri, 31 Dec 2027 23:59:59 GMT", now),
        Some(Duration::from_secs(29))
    );
    // The two older forms of a date (RFC 9110 section 5.6.7).
    assert_eq!(
        header("Saturday, 01-Jan-28 00:00:00 GMT", now),
        Some(Duration::from_secs(30))
    );
    assert_eq!(
        header("Sat Jan  1 00:00:00 2028", now),
        Some(Duration::from_secs(30))
    );
    assert_eq!(
        header("Fri, 31 Dec 2027 23:59:00 GMT", now),
        Some(Duration::ZERO),
        "the time has come"
    );
    assert_eq!(
        header("Fri, 31 Dec 2027 23:59:59 GMT", ""),
        None,
        "without its own time a date says nothing"
    );
    for bad in [
        "-1",
        "1.5",
        "soon",
        "Fri, 31 Dec 2027",
        "99999999999999999999",
    ] {
        assert_eq!(header(bad, now), None, "{bad}");
    }
    assert_eq!(retry_after(&HeaderMap::new()), None);
}

/// Sends an endless answer, one byte at a time.
async fn dribble(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    stream
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n")
        .await?;
    loop {
        stream.write_all(b"x").await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn hook_04_a_slow_sink_holds_a_call_up_no_longer_than_its_deadline() {
    let timeout = Duration::from_millis(300);
    for says_something in [true, false] {
        let slow = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = slow.local_addr().unwrap();
        let sink = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = slow.accept().await {
                if says_something {
                    tokio::spawn(dribble(stream));
                } else {
                    held.push(stream);
                }
            }
        });
        let url = format!("http://{address}/in");
        let targets = Targets::only(&url, vec![address.to_string()], true).unwrap();
        let outgoing = HttpClient::new(targets, &connection(timeout)).unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(
            outgoing.call(call(&url)).await.map(|reply| reply.status),
            Err(unknown(Reason::Timeout))
        );
        assert!(
            begun.elapsed() >= timeout && begun.elapsed() < Duration::from_secs(15),
            "{:?}",
            begun.elapsed()
        );
        sink.abort();
    }
}

fn connection(timeout: Duration) -> ConnectionSettings {
    ConnectionSettings {
        allow_hosts: Vec::new(),
        plaintext: true,
        ca_file: None,
        timeout,
    }
}

fn call(url: &str) -> Call {
    Call {
        method: Method::POST,
        url: url.to_owned(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    }
}

#[test]
fn send_16_a_contact_is_one_that_push_services_can_use() {
    for good in [
        "mailto:security@bank.example",
        "mailto:a+b@mail.bank.example",
        "https://bank.example/security",
        "https://bank.example",
    ] {
        assert_eq!(check_contact(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "security@bank.example",
        "mailto:security",
        "mailto:@bank.example",
        "mailto:a@localhost",
        "mailto:a@vm",
        "mailto:a@bank.local",
        "mailto:a@bank.internal",
        "mailto:a@bank.invalid",
        "mailto:a@127.0.0.1",
        "mailto:a@[127.0.0.1]",
        "mailto:a b@bank.example",
        "http://bank.example",
        "https://localhost/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://vm",
    ] {
        assert!(check_contact(bad).is_err(), "{bad}");
    }
}
