//! Tests of the proxy's faults, each seen from both sides.

use std::{
    io::{ErrorKind, Result},
    time::{Duration, Instant},
};

use crate::rig::{
    ALWAYS, Client, Options, Proxy, RedisServer, Reply, command, command_with, encode, until,
};

fn bed() -> (RedisServer, Proxy) {
    let server = RedisServer::start(&Options::default());
    let proxy = Proxy::start(server.addr());
    (server, proxy)
}

fn client(proxy: &Proxy) -> Client {
    Client::connect(proxy.addr()).unwrap()
}

/// Sends several requests in one write.
fn pipeline(client: &mut Client, requests: &[&[&str]]) {
    client
        .send(
            &requests
                .iter()
                .flat_map(|request| encode(request))
                .collect::<Vec<_>>(),
        )
        .unwrap();
}

fn ended(reply: Result<Reply>) -> bool {
    reply.is_err_and(|error| !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

fn get(server: &RedisServer, name: &str) -> String {
    server.cmd(&["GET", name]).text()
}

#[test]
fn a_cut_ends_all_connections_and_takes_none_until_it_is_over() {
    let (_server, proxy) = bed();
    let (mut one, mut other) = (client(&proxy), client(&proxy));
    one.call(&["PING"]).unwrap();
    other.call(&["PING"]).unwrap();
    proxy.cut();
    assert!(ended(one.call(&["PING"])) && ended(other.receive()));
    assert!(ended(client(&proxy).call(&["PING"])));
    assert_eq!(proxy.count("PING"), 2);
    proxy.pass();
    assert_eq!(client(&proxy).call(&["PING"]).unwrap().text(), "PONG");
}

#[test]
fn connections_are_dropped_once_and_new_ones_are_welcome() {
    let (_server, proxy) = bed();
    let mut old = client(&proxy);
    old.call(&["PING"]).unwrap();
    proxy.drop_connections();
    assert_eq!(client(&proxy).call(&["PING"]).unwrap().text(), "PONG");
    assert!(ended(old.call(&["PING"])));
    until("only the ended ones to be gone", || {
        match proxy.open_connections() {
            0 => Ok(()),
            open => Err(format!("{open} open")),
        }
    });
}

#[test]
fn a_black_hole_keeps_everything_and_lets_it_through_when_it_is_over() {
    let (server, proxy) = bed();
    let patience = Duration::from_millis(200);
    let mut old = Client::connect_within(proxy.addr(), patience).unwrap();
    old.call(&["PING"]).unwrap();
    proxy.blackhole();
    let mut new = client(&proxy);
    new.send(&encode(&["SET", "new", "1"])).unwrap();
    assert!(matches!(
        old.call(&["SET", "old", "1"]).unwrap_err().kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    assert_eq!(
        (get(&server, "old"), get(&server, "new")),
        (String::new(), String::new())
    );
    proxy.pass();
    assert_eq!(new.receive().unwrap().text(), "OK");
    until("the old connection to be answered", || {
        old.receive().map(drop).map_err(|error| error.to_string())
    });
    assert_eq!(
        (get(&server, "old"), get(&server, "new")),
        ("1".to_owned(), "1".to_owned())
    );
}

#[test]
fn replies_are_delayed_each_from_when_it_came() {
    let (_server, proxy) = bed();
    let mut client = client(&proxy);
    client.call(&["PING"]).unwrap();
    proxy.delay(Duration::from_millis(300));
    let begun = Instant::now();
    pipeline(&mut client, &[&["PING"][..]; 20]);
    (0..20).for_each(|_| drop(client.receive().unwrap()));
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?} for twenty at once"
    );
    proxy.pass();
    let begun = Instant::now();
    client.call(&["PING"]).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(300));
}

#[test]
fn a_lost_reply_belongs_to_a_request_that_was_executed() {
    let (server, proxy) = bed();
    let fault = proxy.drop_replies(1, command_with("SET", "lost"));
    let mut old = client(&proxy);
    pipeline(
        &mut old,
        &[
            &["SET", "kept", "1"],
            &["SET", "lost", "1"],
            &["GET", "lost"],
        ],
    );
    assert_eq!(old.receive().unwrap().text(), "OK");
    assert!(ended(old.receive()));
    assert_eq!((get(&server, "lost"), fault.hits()), ("1".to_owned(), 1));
    assert_eq!(
        client(&proxy).call(&["SET", "lost", "2"]).unwrap().text(),
        "OK"
    );
    assert_eq!(fault.hits(), 1);
}

#[test]
fn a_lost_request_was_not_executed_and_what_came_before_it_is_answered() {
    let (server, proxy) = bed();
    let fault = proxy.drop_requests(2, |arguments| {
        arguments[0] == b"SET" && arguments[1] == b"lost"
    });
    for _ in 0..2 {
        let mut old = client(&proxy);
        pipeline(
            &mut old,
            &[
                &["SET", "kept", "1"],
                &["GET", "kept"],
                &["SET", "lost", "1"],
                &["SET", "after", "1"],
            ],
        );
        assert_eq!(
            (old.receive().unwrap().text(), old.receive().unwrap().text()),
            ("OK".to_owned(), "1".to_owned())
        );
        assert!(ended(old.receive()));
    }
    assert_eq!(
        (get(&server, "lost"), get(&server, "after"), fault.hits()),
        (String::new(), String::new(), 2)
    );
    assert_eq!(
        client(&proxy).call(&["SET", "lost", "2"]).unwrap().text(),
        "OK"
    );
}

#[test]
fn an_injected_error_comes_in_its_turn_and_as_often_as_it_was_asked() {
    let (server, proxy) = bed();
    let fault = proxy.inject_error(
        2,
        command("SET"),
        "READONLY You can't write against a read only replica.",
    );
    let mut client = client(&proxy);
    let requests: [&[&str]; 5] = [
        &["INCR", "n"],
        &["SET", "a", "1"],
        &["INCR", "n"],
        &["set", "b", "1"],
        &["SET", "c", "1"],
    ];
    pipeline(&mut client, &requests);
    let replies: Vec<_> = (0..5).map(|_| client.receive().unwrap()).collect();
    let refused = "-READONLY You can't write against a read only replica.";
    assert_eq!(
        format!("{replies:?}"),
        format!(r#"["1", {refused}, "2", {refused}, "OK"]"#)
    );
    assert_eq!(
        (get(&server, "a"), get(&server, "b"), get(&server, "c")),
        (String::new(), String::new(), "1".to_owned())
    );
    assert_eq!(fault.hits(), 2);
}

#[test]
fn a_rule_that_stays_ends_when_it_is_cleared() {
    let (_server, proxy) = bed();
    let mut client = client(&proxy);
    let one = proxy.inject_error(
        ALWAYS,
        command("GET"),
        "LOADING Redis is loading the dataset in memory",
    );
    proxy.inject_error(
        ALWAYS,
        command("PING"),
        "MASTERDOWN Link with MASTER is down",
    );
    for _ in 0..3 {
        assert!(
            client
                .call(&["GET", "a"])
                .unwrap()
                .error()
                .unwrap()
                .starts_with("LOADING")
        );
    }
    one.clear();
    assert!(client.call(&["GET", "a"]).unwrap().is_nil());
    assert!(
        client
            .call(&["PING"])
            .unwrap()
            .error()
            .unwrap()
            .starts_with("MASTERDOWN")
    );
    proxy.clear();
    assert_eq!(client.call(&["PING"]).unwrap().text(), "PONG");
    assert_eq!(one.hits(), 3);
}

#[test]
fn a_dead_server_ends_the_connections_of_its_clients() {
    let (server, proxy) = bed();
    let mut old = client(&proxy);
    old.call(&["PING"]).unwrap();
    server.kill9();
    assert!(ended(old.receive()) && ended(client(&proxy).call(&["PING"])));
    server.restart();
    assert_eq!(client(&proxy).call(&["PING"]).unwrap().text(), "PONG");
}

#[test]
fn new_connections_go_to_another_server_and_open_ones_stay() {
    let (one, proxy) = bed();
    let other = RedisServer::start(&Options::default());
    one.cmd(&["SET", "who", "one"]).ok();
    other.cmd(&["SET", "who", "other"]).ok();
    let mut old = client(&proxy);
    let who = |client: &mut Client| client.call(&["GET", "who"]).unwrap().text();
    assert_eq!(who(&mut old), "one");
    proxy.retarget(other.addr());
    assert_eq!(
        (who(&mut client(&proxy)), who(&mut old)),
        ("other".to_owned(), "one".to_owned())
    );
}
