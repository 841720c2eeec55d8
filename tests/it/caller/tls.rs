//! TLS on each of the three listeners: both protocols, and a certificate that is renewed by SIGHUP.

use std::{path::Path, sync::Arc, time::Duration};

use countersign::pb::v1::verification_service_client::VerificationServiceClient;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Version};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;

use crate::harness::{PATIENCE, binary::Process, http::http_client, login, with_key};

const LISTENERS: [&str; 3] = ["GRPC", "HTTP", "ADMIN"];

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a new certificate for loopback and its key; returns the certificate.
fn issue(authority: &CertifiedIssuer<'static, KeyPair>, dir: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// A process whose listeners all use the certificate in this folder.
fn start(dir: &Path) -> Process {
    let file = |name: &str| dir.join(name).display().to_string();
    let settings: Vec<_> = LISTENERS
        .iter()
        .flat_map(|listener| {
            [
                (format!("{listener}__TLS_CERT_FILE"), file("cert.pem")),
                (format!("{listener}__TLS_KEY_FILE"), file("key.pem")),
            ]
        })
        .collect();
    Process::start(dir, &crate::harness::binary::borrowed(&settings))
}

/// The certificate that a listener shows, and the protocol that it chooses among these.
async fn handshake(
    root: &CertificateDer<'static>,
    address: &str,
    protocols: &[&[u8]],
) -> std::io::Result<(CertificateDer<'static>, Option<Vec<u8>>)> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = TcpStream::connect(address).await?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let session = stream.get_ref().1;
    let shown = session.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((shown, session.alpn_protocol().map(<[u8]>::to_vec)))
}

#[tokio::test(flavor = "multi_thread")]
async fn net_16_every_listener_speaks_tls_with_both_protocols() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let certificate = issue(&authority, dir.path());
    let process = start(dir.path());
    let all = [&process.grpc, &process.http, &process.admin];
    for address in all {
        for (offered, chosen) in [
            (&[b"h2".as_slice(), b"http/1.1"][..], Some(b"h2".to_vec())),
            (&[b"http/1.1"], Some(b"http/1.1".to_vec())),
            (&[], None),
        ] {
            let (shown, protocol) = handshake(authority.der(), address, offered).await.unwrap();
            assert_eq!((&shown, protocol), (&certificate, chosen));
        }
    }
    let root = Certificate::from_der(authority.der()).unwrap();
    for (client, version) in [
        (http_client(), Version::HTTP_2),
        (http_client().http1_only(), Version::HTTP_11),
    ] {
        let client = client.tls_certs_only([root.clone()]).build().unwrap();
        for url in [
            format!("https://{}/dev/outbox", process.http),
            format!("https://{}/livez", process.admin),
        ] {
            let answer = client.get(&url).send().await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), answer.version()),
                (200, version),
                "{url}"
            );
        }
    }
    for address in all {
        let plain = http_client()
            .build()
            .unwrap()
            .get(format!("http://{address}/livez"));
        let plain = plain.send().await;
        assert!(plain.is_err(), "nothing is served in plaintext");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn net_08_a_certificate_is_renewed_by_sighup_and_calls_go_on() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), authority());
    let first = issue(&authority, dir.path());
    let process = start(dir.path());
    let all = [&process.grpc, &process.http, &process.admin];
    let root = tonic::transport::Certificate::from_pem(authority.pem());
    let tls = tonic::transport::ClientTlsConfig::new().ca_certificate(root);
    let endpoint = Endpoint::from_shared(format!("https://{}", process.grpc)).unwrap();
    let channel = endpoint.tls_config(tls).unwrap().connect().await.unwrap();
    let mut client = VerificationServiceClient::new(channel);
    let mut start_one = async |subject: &str| {
        client
            .start_verification(with_key(&process.key, login(subject)))
            .await
            .unwrap();
    };
    start_one("before").await;
    let second = issue(&authority, dir.path());
    assert_ne!(first, second);
    process.signal("HUP");
    let shows_the_new_one = async {
        for address in all {
            while handshake(authority.der(), address, &[]).await.unwrap().0 != second {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, shows_the_new_one)
        .await
        .unwrap();
    start_one("on the same connection").await;

    // A key that belongs to another certificate: the listeners keep what they have.
    let stray = KeyPair::generate().unwrap();
    std::fs::write(dir.path().join("key.pem"), stray.serialize_pem()).unwrap();
    process.signal("HUP");
    let log = dir.path().join("log");
    let is_said = async {
        while !std::fs::read_to_string(&log)
            .unwrap()
            .contains("certificate not read again")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_said).await.unwrap();
    for address in all {
        assert_eq!(
            handshake(authority.der(), address, &[]).await.unwrap().0,
            second
        );
    }
    start_one("after").await;
}
