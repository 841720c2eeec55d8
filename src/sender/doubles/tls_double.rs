//! A provider over TLS for tests, with its own certificate authority. It gives the configured
//! answers and records the requests.

use std::{
    io::Write as _,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, Version},
    response::{IntoResponse as _, Response},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A request as it was received.
#[derive(Clone, Debug)]
pub(in crate::sender) struct Seen {
    pub(in crate::sender) version: Version,
    pub(in crate::sender) path: String,
    pub(in crate::sender) headers: HeaderMap,
    pub(in crate::sender) body: Bytes,
}

/// An answer: status, an optional header, and the body.
pub(in crate::sender) type Answer = (u16, Option<(&'static str, &'static str)>, &'static str);

/// A running provider, which stops with the test's runtime.
pub(in crate::sender) struct Double {
    port: u16,
    ca: tempfile::NamedTempFile,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Double {
    /// Starts a provider that speaks these protocols (`h2`, `http/1.1`). Each request gets the next
    /// answer; after the last one, that answer is repeated.
    pub(in crate::sender) async fn start(protocols: &[&str], answers: &[Answer]) -> Self {
        let (config, ca) = certified(protocols);
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (shared, answers) = (Arc::clone(&seen), answers.to_vec());
        let handle = move |request: Request| {
            let (shared, answers) = (Arc::clone(&shared), answers.clone());
            async move { answer(request, &shared, &answers).await }
        };
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            axum::serve(Listener { tcp, acceptor }, Router::new().fallback(handle)).await
        });
        Self { port, ca, seen }
    }

    pub(in crate::sender) fn url(&self) -> String {
        format!("https://{}", self.host())
    }

    pub(in crate::sender) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub(in crate::sender) fn ca_file(&self) -> PathBuf {
        self.ca.path().to_owned()
    }

    pub(in crate::sender) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn answer(request: Request, seen: &Mutex<Vec<Seen>>, answers: &[Answer]) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut seen = seen.lock().unwrap();
    let (status, header, text) = answers[seen.len().min(answers.len() - 1)];
    seen.push(Seen {
        version: parts.version,
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        body,
    });
    let mut response = (StatusCode::from_u16(status).unwrap(), text).into_response();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn certified(protocols: &[&str]) -> (ServerConfig, tempfile::NamedTempFile) {
    let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(params.self_signed(&ca_key).unwrap().pem().as_bytes())
        .unwrap();
    let issuer = Issuer::new(params, ca_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = config
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec())
        .collect();
    (config, file)
}

struct Listener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else {
                continue;
            };
            // A client that does not trust the certificate or speaks another protocol fails here
            // and is skipped.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
