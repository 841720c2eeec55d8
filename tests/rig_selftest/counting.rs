//! Tests of the proxy without faults: it forwards everything unchanged, and its counts are right.

use crate::rig::{Client, Options, Proxy, RedisServer, Reply, command, encode, until};

fn bed() -> (RedisServer, Proxy) {
    let server = RedisServer::start(&Options::default());
    let proxy = Proxy::start(server.addr());
    (server, proxy)
}

#[test]
fn every_kind_of_reply_goes_through_as_it_was_said() {
    let (server, proxy) = bed();
    let (mut direct, mut through) = (
        Client::connect(server.addr()).unwrap(),
        Client::connect(proxy.addr()).unwrap(),
    );
    let kinds = [
        "string", "integer", "double", "null", "array", "set", "map", "attrib", "verbatim", "true",
        "false", "bignum",
    ];
    for version in ["2", "3"] {
        direct.call(&["HELLO", version]).unwrap().ok();
        through.call(&["HELLO", version]).unwrap().ok();
        for kind in kinds {
            let ask = ["DEBUG", "PROTOCOL", kind];
            assert_eq!(
                through.call(&ask).unwrap(),
                direct.call(&ask).unwrap(),
                "{kind} in RESP{version}"
            );
        }
        for ask in [
            &["NO-SUCH-COMMAND"][..],
            &["CONFIG", "GET", "*"],
            &["COMMAND"],
        ] {
            assert_eq!(through.call(ask).unwrap(), direct.call(ask).unwrap());
        }
    }
    let big = vec![b'x'; 3_000_000];
    assert_eq!(
        through
            .call(&[b"SET", b"big".as_slice(), &big])
            .unwrap()
            .text(),
        "OK"
    );
    assert_eq!(through.call(&["GET", "big"]).unwrap().bytes(), big);
}

#[test]
fn a_push_answers_no_request() {
    let (_server, proxy) = bed();
    let mut client = Client::connect(proxy.addr()).unwrap();
    client.call(&["HELLO", "3"]).unwrap().ok();
    proxy.inject_error(
        1,
        command("GET"),
        "TRYAGAIN Multiple keys request during rehashing of slot",
    );
    let requests: [&[&str]; 4] = [
        &["DEBUG", "PROTOCOL", "push"],
        &["PING"],
        &["GET", "a"],
        &["ECHO", "end"],
    ];
    client
        .send(
            &requests
                .iter()
                .flat_map(|request| encode(request))
                .collect::<Vec<_>>(),
        )
        .unwrap();
    let said: Vec<_> = (0..5).map(|_| client.receive().unwrap()).collect();
    let pushes = said
        .iter()
        .filter(|reply| matches!(reply, Reply::Push(_)))
        .count();
    let replies: Vec<_> = said
        .iter()
        .filter(|reply| !matches!(reply, Reply::Push(_)))
        .map(|reply| reply.text())
        .collect();
    assert_eq!(pushes, 1, "{said:?}");
    assert_eq!(
        replies[1..3],
        [
            "PONG",
            "TRYAGAIN Multiple keys request during rehashing of slot"
        ]
    );
    assert_eq!(replies[3], "end");
}

/// Subscribes, publishes over another connection, and sends further commands; `version` is that of the protocol.
fn subscribe(version: &str) {
    let (server, proxy) = bed();
    let mut client = Client::connect(proxy.addr()).unwrap();
    client.call(&["HELLO", version]).unwrap().ok();
    proxy.inject_error(1, command("PING"), "BUSY for the test");
    let requests: [&[&str]; 4] = [
        &["SUBSCRIBE", "a", "b"],
        &["PING"],
        &["PING", "x"],
        &["UNSUBSCRIBE", "a"],
    ];
    client
        .send(
            &requests
                .iter()
                .flat_map(|request| encode(request))
                .collect::<Vec<_>>(),
        )
        .unwrap();
    let first = |reply: &Reply| {
        if let Reply::List(list) | Reply::Push(list) = reply {
            list[0].text()
        } else {
            reply.text()
        }
    };
    let said: Vec<_> = (0..5).map(|_| first(&client.receive().unwrap())).collect();
    let pong = if version == "2" { "pong" } else { "x" };
    assert_eq!(
        said,
        [
            "subscribe",
            "subscribe",
            "BUSY for the test",
            pong,
            "unsubscribe"
        ]
    );
    let trips = proxy.round_trips();
    server.cmd(&["PUBLISH", "b", "news"]).ok();
    assert_eq!(first(&client.receive().unwrap()), "message");
    client.send(&encode(&["PING", "x"])).unwrap();
    assert_eq!(first(&client.receive().unwrap()), pong);
    assert_eq!(proxy.round_trips(), trips + 1, "nothing was outstanding");
}

#[test]
fn a_subscription_is_answered_by_pushes() {
    subscribe("3");
}

#[test]
fn a_subscription_of_the_old_protocol_is_answered_by_lists() {
    subscribe("2");
}

#[test]
fn requests_round_trips_and_connections_are_counted() {
    let (_server, proxy) = bed();
    let mut client = Client::connect(proxy.addr()).unwrap();
    client.call(&["PING"]).unwrap();
    assert_eq!(
        (
            proxy.round_trips(),
            proxy.connections(),
            proxy.open_connections()
        ),
        (1, 1, 1)
    );
    assert_eq!(proxy.take_log(), ["PING"]);
    let three = [
        encode(&["set", "a", "1"]),
        encode(&["GET", "a"]),
        encode(&["GET", "b"]),
    ]
    .concat();
    client.send(&three).unwrap();
    (0..3).for_each(|_| drop(client.receive().unwrap()));
    assert_eq!(proxy.round_trips(), 2, "three at once wait once");
    assert_eq!(proxy.take_log(), ["SET", "GET", "GET"]);
    assert_eq!((proxy.count("get"), proxy.counts()["SET"]), (2, 1));
    // One request in two writes counts once.
    let (half, rest) = three.split_at(7);
    client.send(half).unwrap();
    client.send(rest).unwrap();
    (0..3).for_each(|_| drop(client.receive().unwrap()));
    assert_eq!(proxy.take_log().len(), 3);
    drop(client);
    until("the connection to be gone", || {
        (proxy.open_connections() == 0)
            .then_some(())
            .ok_or("open".to_owned())
    });
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_proxy_runs_on_while_a_test_blocks_and_stops_the_time() {
    let (_server, proxy) = bed();
    proxy.delay(std::time::Duration::from_millis(50));
    assert_eq!(
        Client::connect(proxy.addr())
            .unwrap()
            .call(&["PING"])
            .unwrap()
            .text(),
        "PONG"
    );
}
