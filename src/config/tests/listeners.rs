//! The three listeners: encryption in production, limits of connections, proxies.

use super::{PRODUCTION, keys_of, with};

const LISTENERS: [&str; 3] = ["grpc", "http", "admin"];

#[test]
fn net_16_each_listener_in_production_has_tls_or_says_that_somebody_else_encrypts() {
    for listener in LISTENERS {
        let upper = listener.to_uppercase();
        let listen = format!("{upper}__LISTEN");
        let plaintext_allowed = format!("{upper}__PLAINTEXT_ALLOWED");
        for address in ["0.0.0.0:9000", "[::]:9000", "192.0.2.1:9000"] {
            let refused = with(PRODUCTION, &[(&listen, address)]).unwrap_err();
            let [mistake] = &refused.0[..] else {
                panic!("{refused}")
            };
            assert_eq!(mistake.key, format!("{listener}.listen"));
            assert!(
                mistake.what.contains("plaintext_allowed"),
                "{}",
                mistake.what
            );
            let allowed = [(&*listen, address), (&*plaintext_allowed, "true")];
            assert!(with(PRODUCTION, &allowed).is_ok());
        }
        for address in ["127.0.0.1:9000", "[::1]:9000"] {
            assert!(with(PRODUCTION, &[(&listen, address)]).is_ok(), "{address}");
        }
        let half = format!("{upper}__TLS_CERT_FILE");
        let refused = keys_of(with(
            PRODUCTION,
            &[(&listen, "0.0.0.0:9000"), (&half, "/no/such")],
        ));
        let expected = ["tls_cert_file", "tls_key_file"].map(|key| format!("{listener}.{key}"));
        assert_eq!(refused, expected, "the mistakes are in the files alone");
    }
}

#[test]
fn net_15_connections_per_peer_are_limited_and_zero_is_no_limit() {
    let settings = with("", &[]).unwrap();
    let limits = [
        &settings.grpc.listener,
        &settings.http.listener,
        &settings.admin.listener,
    ]
    .map(|listener| (listener.connections_max, listener.peer_connections_max));
    assert_eq!(
        limits,
        [(10_000, Some(1000)), (4096, Some(128)), (256, Some(32))]
    );
    for listener in LISTENERS {
        let key = format!("{}__MAX_CONNECTIONS_PER_PEER", listener.to_uppercase());
        assert!(with("", &[(&key, "0")]).is_ok());
        assert_eq!(
            keys_of(with("", &[(&key, "-1")])),
            [format!("{listener}.max_connections_per_peer")]
        );
    }
    let none = with("", &[("HTTP__MAX_CONNECTIONS_PER_PEER", "0")]).unwrap();
    assert_eq!(none.http.listener.peer_connections_max, None);
}

#[test]
fn trusted_proxies_are_addresses_and_ranges() {
    let settings = with("", &[("HTTP__TRUSTED_PROXIES", "127.0.0.1, fd00::/8")]).unwrap();
    let trusted = settings.http.listener.trusted_proxies;
    assert!(trusted[0].contains([127, 0, 0, 1].into()));
    assert!(trusted[1].contains("fd12::1".parse().unwrap()));
    let refused = with(
        "",
        &[("HTTP__TRUSTED_PROXIES", "proxy.example,10.0.0.0/40")],
    )
    .unwrap_err();
    let keys: Vec<_> = refused.0.iter().map(|mistake| &*mistake.key).collect();
    assert_eq!(keys, ["http.trusted_proxies"; 2]);
}

#[test]
fn a_public_listener_behind_an_unnamed_proxy_is_a_warning() {
    let warned = |more: &[(&str, &str)]| {
        let settings = with(PRODUCTION, more).unwrap();
        let keys = settings.warnings().into_iter().map(|warning| warning.key);
        keys.filter(|key| key == "http.trusted_proxies").count()
    };
    let public = ("HTTP__PUBLIC_URL", "https://otp.bank.example");
    assert_eq!(warned(&[]), 0);
    assert_eq!(warned(&[public]), 1);
    assert_eq!(warned(&[public, ("HTTP__TRUSTED_PROXIES", "127.0.0.1")]), 0);
}
