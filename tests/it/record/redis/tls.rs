//! TLS to the Redis server: certificates of both sides, and no plaintext connection in production.

use std::{path::Path, process::Command};

use super::bed::{on, works};
use crate::{
    harness::binary::binary,
    record::process::production,
    rig::{Options, RedisServer, Tls},
};

/// Makes a certificate authority and certificates signed by it, as an operator does.
fn openssl(dir: &Path, script: &str) {
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .expect("a shell is started");
    assert!(
        made.status.success(),
        "openssl: {}",
        String::from_utf8_lossy(&made.stderr)
    );
}

const CERTIFICATES: &str = r#"
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -keyout "$1.key" -out "$1.pem" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
}
below() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$2.key" -out "$2.csr"
    printf 'subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n' > "$2.ext"
    openssl x509 -req -in "$2.csr" -CA "$1.pem" -CAkey "$1.key" -CAcreateserial -days 2 -extfile "$2.ext" -out "$2.pem"
}
authority ca
authority stranger
below ca server
below ca client
below stranger foreign
"#;

struct Bed {
    dir: tempfile::TempDir,
    server: RedisServer,
}

fn bed() -> Bed {
    let dir = tempfile::tempdir().unwrap();
    openssl(dir.path(), CERTIFICATES);
    let file = |name: &str| dir.path().join(name);
    let tls = Tls {
        cert: file("server.pem"),
        key: file("server.key"),
        ca: file("ca.pem"),
        auth_clients: true,
    };
    let server = RedisServer::start(
        &Options::default()
            .tls(tls)
            .set("tls-protocols", "\"TLSv1.2 TLSv1.3\""),
    );
    Bed { dir, server }
}

impl Bed {
    fn setup(&self, ca: &str, client: Option<&str>) -> crate::harness::Setup {
        let file = |name: String| self.dir.path().join(name).display().to_string();
        let setup = on(&self.server.tls_url()).with("STORE__CA_FILE", &file(format!("{ca}.pem")));
        match client {
            None => setup,
            Some(name) => setup
                .with("STORE__CLIENT_CERT_FILE", &file(format!("{name}.pem")))
                .with("STORE__CLIENT_KEY_FILE", &file(format!("{name}.key"))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn store_14_certificates_of_both_sides_open_the_connection() {
    let bed = bed();
    let service = bed.setup("ca", Some("client")).start().await;
    works(&service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn store_14_without_the_right_certificates_there_is_no_connection() {
    let bed = bed();
    for (ca, client) in [
        ("stranger", Some("client")),
        ("ca", Some("foreign")),
        ("ca", None),
    ] {
        let refused = bed
            .setup(ca, client)
            .try_start_on(countersign::app::Machine::default())
            .await;
        let error = refused
            .err()
            .unwrap_or_else(|| panic!("{ca} and {client:?} are let in"));
        assert!(
            format!("{error:#}").contains("cannot be reached"),
            "{error:#}"
        );
    }
}

#[test]
fn store_14_production_refuses_the_plain_connection_unless_it_is_allowed_by_name() {
    let (dir, server) = (
        tempfile::tempdir().unwrap(),
        RedisServer::start(&Options::default()),
    );
    let file = production(dir.path(), "a-real-key");
    let run = |allowed: &str, arguments: &[&str]| {
        let mut command = binary();
        command
            .env("COUNTERSIGN__STORE__URL", server.url())
            .env("COUNTERSIGN__STORE__PLAINTEXT_ALLOWED", allowed);
        let output = command
            .args(arguments)
            .args(["--config", &file])
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (code, said) = run("false", &["check-config"]);
    assert!(code == Some(2) && said.contains("store.url"), "{said}");
    let (code, said) = run("true", &["check-config", "--store"]);
    assert_eq!(code, Some(0), "{said}");
    for word in ["old_version", "no_aof", "no_min_replicas"] {
        assert!(said.contains(word), "store_12: {word} is missing in {said}");
    }
}
