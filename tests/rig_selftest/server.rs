//! Tests of a single server: start, stop, data and ports.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::rig::{Client, Options, RedisServer, Reply, encode, loopback, parse, until};

fn value(server: &RedisServer) -> Reply {
    server.cmd(&["GET", "name"])
}

#[test]
fn a_killed_server_comes_back_empty_on_its_port_as_another_run() {
    let server = RedisServer::start(&Options::default());
    let (run, port) = (server.info("run_id"), server.port());
    server.cmd(&["SET", "name", "value"]).ok();
    assert_eq!(value(&server).text(), "value");
    server.kill9();
    assert!(!server.runs() && server.try_cmd(&["PING"]).is_err());
    server.restart();
    assert!(value(&server).is_nil());
    assert_eq!(server.port(), port);
    assert_ne!(server.info("run_id"), run);
}

#[test]
fn an_append_only_file_outlives_a_kill_until_it_is_wiped() {
    let server = RedisServer::start(&Options::default().appendonly().set("appendfsync", "always"));
    server.cmd(&["SET", "name", "value"]).ok();
    server.restart();
    assert_eq!(value(&server).text(), "value");
    server.stop_gracefully();
    server.wipe();
    server.restart();
    assert!(value(&server).is_nil());
}

#[test]
fn a_frozen_server_keeps_its_connections_and_answers_later() {
    let server = RedisServer::start(&Options::default());
    let mut client = Client::connect(server.addr()).unwrap();
    client.call(&["PING"]).unwrap();
    server.sigstop();
    client.send(&encode(&["PING"])).unwrap();
    let mut other = Client::connect_within(server.addr(), Duration::from_millis(200)).unwrap();
    assert!(other.call(&["PING"]).is_err());
    server.sigcont();
    assert_eq!(client.receive().unwrap().text(), "PONG");
    server.wait_ready();
}

#[test]
fn the_test_bed_logs_in_where_the_default_user_is_off() {
    let options = Options::default()
        .set("user", "default off")
        .set("user", "bed on >word ~* &* +@all")
        .login("bed", "word");
    let server = RedisServer::start(&options);
    assert_eq!(server.cmd(&["ACL", "WHOAMI"]).text(), "bed");
    let refused = Client::connect(server.addr())
        .unwrap()
        .call(&["PING"])
        .unwrap();
    assert!(refused.error().unwrap().starts_with("NOAUTH"));
}

#[test]
fn many_servers_share_no_port() {
    let servers: Vec<_> = (0..6)
        .map(|_| RedisServer::start(&Options::default()))
        .collect();
    servers.iter().for_each(|server| {
        assert_eq!(
            server.cmd(&["CONFIG", "GET", "port"]).fields()["port"],
            server.port().to_string()
        );
    });
    servers
        .iter()
        .enumerate()
        .for_each(|(number, server)| drop(server.cmd(&["SET", "name", &number.to_string()]).ok()));
    servers.iter().enumerate().for_each(|(number, server)| {
        assert_eq!(value(server).int(), i64::try_from(number).unwrap());
    });
}

#[test]
#[should_panic(expected = "Bad directive")]
fn a_wrong_setting_fails_with_what_the_server_says() {
    RedisServer::start(&Options::default().set("no-such-setting", "1"));
}

/// Not a test of its own: the process that the next test starts, and that ends without stopping its server.
#[test]
#[ignore = "it aborts; the next test runs it"]
fn aborting() {
    let server = RedisServer::start(&Options::default());
    println!(
        "\nport {}\nfolder {}",
        server.port(),
        server.dir().display()
    );
    std::process::abort();
}

#[test]
fn no_server_outlives_a_test_that_was_killed() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "server::aborting", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let mut said = |name: &str| {
        lines
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
            .unwrap()
    };
    let (port, folder): (u16, _) = (said("port ").parse().unwrap(), said("folder "));
    child.wait().unwrap();
    until("the server and its folder to be gone", || {
        match (
            TcpStream::connect(loopback(port)),
            Path::new(&folder).exists(),
        ) {
            (Err(_), false) => Ok(()),
            (listens, exists) => Err(format!("{listens:?}, {exists}")),
        }
    });
}

#[test]
fn a_frame_is_found_whole_or_not_at_all() {
    let frame = b"%2\r\n+a\r\n~2\r\n:1\r\n_\r\n$1\r\nb\r\n*2\r\n,1.5\r\n=6\r\ntxt:xy\r\n";
    for end in 0..frame.len() {
        assert_eq!(parse(&frame[..end]), Ok(None));
    }
    let (reply, used) = parse(&[frame, b"+next".as_slice()].concat())
        .unwrap()
        .unwrap();
    assert_eq!(
        (format!("{reply:?}"), used),
        (
            r#"{"a": {"1", nil}, "b": ["1.5", "xy"]}"#.to_owned(),
            frame.len()
        )
    );
    assert!(
        parse(b"hello\r\n").is_err() && parse(b"$1\r\nabc").is_err() && parse(b"*x\r\n").is_err()
    );
}
