//! Which layers a layer may use, and which crates.

use super::source::{code, layer_of, module, paths, production};

struct Layer {
    name: &'static str,
    /// The layers that it may use; `None` for all.
    sees: Option<&'static [&'static str]>,
    /// The crates that it may use, in addition to `std`; `None` for all.
    crates: Option<&'static [&'static str]>,
}

const fn layer(
    name: &'static str,
    sees: &'static [&'static str],
    crates: &'static [&'static str],
) -> Layer {
    Layer {
        name,
        sees: Some(sees),
        crates: Some(crates),
    }
}

const fn composes(name: &'static str) -> Layer {
    Layer {
        name,
        sees: None,
        crates: None,
    }
}

/// The layer diagram of `lib.rs` as a table. To add an arrow, add it here with its reason.
const LAYERS: &[Layer] = &[
    // Published formats, the lowest layer.
    layer(
        "format",
        &[],
        // Certificates are read by rustls, and their dates by jiff; the properties of characters are those of icu.
        &[
            "aws_lc_rs",
            "base64",
            "hex",
            "icu_properties",
            "jiff",
            "rustls",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
    layer(
        "domain",
        &["format"],
        // JSON and base64 are needed to parse the push address of a browser.
        &[
            "aws_lc_rs",
            "base64",
            "email_address",
            "hex",
            "idna",
            "rlibphonenumber",
            "serde_json",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
    layer(
        "ports",
        &["format", "domain"],
        &["async_trait", "thiserror", "tokio"],
    ),
    layer(
        "service",
        &["format", "domain", "ports", "message"],
        &[
            "async_trait",
            "futures_util",
            "metrics",
            "prost",
            "thiserror",
            "tokio",
            "tokio_util",
            "tracing",
        ],
    ),
    layer(
        "message",
        &["format", "domain", "ports"],
        &["minijinja", "thiserror"],
    ),
    // What the three listeners have in common, below the adapters that answer their requests.
    layer(
        "listener",
        &["format"],
        &[
            "arc_swap",
            "axum",
            "futures_util",
            "governor",
            "http",
            "hyper",
            "hyper_util",
            "metrics",
            "rustls",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tokio_util",
            "tower",
            "tracing",
        ],
    ),
    layer(
        "grpc",
        &["format", "domain", "ports", "service", "listener", "pb"],
        &[
            "aws_lc_rs",
            "axum",
            "futures_util",
            "governor",
            "hex",
            "http",
            "metrics",
            "prost",
            "prost_types",
            "tokio",
            "tokio_util",
            "tonic",
            "tonic_health",
            "tonic_types",
            "tower",
            "tracing",
        ],
    ),
    layer(
        "http",
        &["format", "domain", "ports", "service", "listener"],
        &[
            "axum",
            "base64",
            "hex",
            "jiff",
            "jsonwebtoken",
            "metrics",
            "minijinja",
            "serde",
            "serde_json",
            "tokio_util",
            "tracing",
            "url",
        ],
    ),
    layer(
        "worker",
        &["format", "domain", "ports", "service"],
        &["tokio", "tokio_util", "tracing"],
    ),
    layer(
        "store",
        &["format", "domain", "ports"],
        &[
            "arc_swap",
            "async_trait",
            "aws_lc_rs",
            "crc16",
            "futures_util",
            "hex",
            "metrics",
            "redb",
            "redis",
            "rustls",
            "thiserror",
            "tokio",
            "tokio_util",
            "tracing",
        ],
    ),
    // Plug-ins are called with the public protos.
    layer(
        "sender",
        &["format", "domain", "ports", "pb"],
        &[
            "async_trait",
            "aws_lc_rs",
            "base64",
            "futures_util",
            "hex",
            "hostname",
            "httpdate",
            "jiff",
            "jsonwebtoken",
            "lettre",
            "reqwest",
            "rusmpp",
            "rustls",
            "rustls_native_certs",
            "serde_json",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tokio_util",
            "tonic",
            "url",
            "zeroize",
        ],
    ),
    layer(
        "system",
        &["format", "domain", "ports"],
        &["async_trait", "aws_lc_rs", "tokio", "tracing", "zeroize"],
    ),
    // A setting is defined once, by the layer that uses it: config uses the settings types of all layers and builds
    // them. None of those layers uses config, so there is no cycle. The layers that do (app, cli, keys, telemetry) have
    // no settings of their own.
    layer(
        "config",
        &[
            "format", "domain", "ports", "service", "message", "listener", "grpc", "http", "store",
            "sender",
        ],
        &[
            "config",
            "hex",
            "procfs",
            "thiserror",
            "tracing_subscriber",
            "url",
        ],
    ),
    layer(
        "keys",
        &["format", "domain", "config"],
        &["aws_lc_rs", "hex", "thiserror", "zeroize"],
    ),
    layer(
        "telemetry",
        // The series of a caller are those of the methods that its roles allow; those of a listener have its reasons.
        &["config", "domain", "listener"],
        &[
            "anyhow",
            "metrics",
            "metrics_exporter_prometheus",
            "procfs",
            "tracing",
            "tracing_subscriber",
        ],
    ),
    // Generated code.
    Layer {
        name: "pb",
        sees: Some(&[]),
        crates: None,
    },
    composes("app"),
    composes("cli"),
    composes("main"),
    composes("lib"),
];

fn find(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// Every file belongs to a layer, and uses only the layers that it may use.
pub fn edges(path: &str, text: &str) -> Vec<String> {
    let name = layer_of(path);
    let Some(layer) = find(name) else {
        return vec![format!(
            "{path}: no layer `{name}`; place the file in one, or add the layer to tests/tidy/layers.rs"
        )];
    };
    let Some(sees) = layer.sees else {
        return Vec::new();
    };
    let depth = module(path).len();
    let mut wrong = Vec::new();
    for seen in paths(&code(&production(text))) {
        let to_root = seen.iter().take_while(|name| *name == "super").count();
        if depth > 0 && to_root >= depth {
            wrong.push(format!(
                "{path}: `{}` climbs to the root; write `crate::`",
                seen.join("::")
            ));
        }
        let from_root = matches!(
            seen.first().map(String::as_str),
            Some("crate" | "countersign")
        );
        let Some(other) = seen
            .get(1)
            .filter(|other| from_root && *other != name && find(other).is_some())
        else {
            continue;
        };
        // Only the vault knows the stored form.
        let is_vault = path.starts_with("src/service/record/vault") && other == "pb";
        if !sees.contains(&other.as_str()) && !is_vault {
            wrong.push(format!(
                "{path}: `{name}` must not see `{other}` (`{}`); move the code, or go through a port",
                seen.join("::")
            ));
        }
    }
    wrong
}

/// The names of the packages in the manifest's `[dependencies]`, as the code writes them.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest
        .split("\n[dependencies]")
        .nth(1)
        .unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| {
        line.split_once('=')
            .map(|(name, _)| name.trim().replace('-', "_"))
    };
    section
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(name)
        .collect()
}

/// A file uses only the crates of its layer.
pub fn crates(path: &str, text: &str, dependencies: &[String]) -> Vec<String> {
    let Some((name, allowed)) =
        find(layer_of(path)).and_then(|layer| Some((layer.name, layer.crates?)))
    else {
        return Vec::new();
    };
    let text = code(&production(text));
    let paths = paths(&text);
    let ours = |path: &&Vec<String>| matches!(path[0].as_str(), "crate" | "super" | "self");
    let local: Vec<_> = paths
        .iter()
        .filter(ours)
        .filter_map(|path| path.last())
        .collect();
    let mut wrong = Vec::new();
    for path_named in paths.iter().filter(|path| path.len() > 1) {
        let named = &path_named[0];
        let shadowed = local.contains(&named) || text.contains(&format!("mod {named};"));
        if !dependencies.contains(named) || shadowed {
            continue;
        }
        let shown = path_named.join("::");
        if !allowed.contains(&named.as_str()) {
            wrong.push(format!("{path}: `{name}` must not name the crate `{named}` (`{shown}`); put it behind a port"));
        } else if name == "ports" && named == "tokio" && path_named[1] != "sync" {
            wrong.push(format!(
                "{path}: of tokio a port names only `tokio::sync`, not `{shown}`"
            ));
        }
    }
    wrong
}

/// Only `grpc/status.rs` makes a `tonic::Status`.
pub fn statuses(path: &str, text: &str) -> Vec<String> {
    let paths = paths(&code(&production(text)));
    let names_tonic = paths.iter().any(|path| path[0] == "tonic");
    let makes = |path: &&Vec<String>| {
        let at = path.iter().position(|name| name == "Status");
        at.and_then(|at| path.get(at + 1))
            .is_some_and(|name| name.starts_with(char::is_lowercase))
    };
    let made = paths
        .iter()
        .filter(makes)
        .filter(|_| names_tonic && path != "src/grpc/status.rs");
    made.map(|made| {
        format!(
            "{path}: `{}` makes a status; only src/grpc/status.rs does",
            made.join("::")
        )
    })
    .collect()
}

#[test]
fn a_domain_file_that_names_tokio_is_refused() {
    let dependencies = ["tokio".to_owned(), "hex".to_owned()];
    for text in [
        "use tokio::sync::watch;",
        "async fn f() { tokio::spawn(g()); }",
        "use {std::fmt, tokio::time};",
    ] {
        assert_eq!(
            crates("src/domain/subject.rs", text, &dependencies).len(),
            1,
            "{text}"
        );
    }
    assert_eq!(
        crates(
            "src/domain/ids.rs",
            "use hex::encode; // tokio::spawn",
            &dependencies
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        crates(
            "src/domain/ids.rs",
            "#[cfg(test)]\nmod tests {\nuse tokio::time;\n}",
            &dependencies
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        crates(
            "src/ports/store.rs",
            "use tokio::sync::watch;",
            &dependencies
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        crates(
            "src/ports/store.rs",
            "use tokio::time::Instant;",
            &dependencies
        )
        .len(),
        1
    );
}

#[test]
fn an_edge_that_the_picture_has_not_is_refused() {
    for (path, text) in [
        ("src/domain/subject.rs", "use crate::ports::store::Store;"),
        (
            "src/domain/subject.rs",
            "use crate::{domain::time::Now, ports::store::Store};",
        ),
        (
            "src/domain/subject.rs",
            "use super::super::ports::store::Store;",
        ),
        (
            "src/grpc/verification/watch.rs",
            "fn f(x: crate::store::Embedded) {}",
        ),
        ("src/store/redis.rs", "use crate::sender::Smtp;"),
        ("src/service/check.rs", "use crate::pb::store::Record;"),
        ("src/util.rs", ""),
    ] {
        assert_eq!(edges(path, text).len(), 1, "{path}: {text}");
    }
    for (path, text) in [
        (
            "src/service/record/vault/encode.rs",
            "use crate::pb::store::Record;",
        ),
        (
            "src/service/check.rs",
            "use crate::{domain::time::Now, ports::store::Store};",
        ),
        ("src/domain/decide/check.rs", "use super::super::time::Now;"),
        ("src/app.rs", "use crate::store::Embedded;"),
    ] {
        assert_eq!(edges(path, text), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn a_status_made_elsewhere_is_refused() {
    let text = "use tonic::Status;\nfn f() -> Status { Status::internal(\"x\") }";
    assert_eq!(statuses("src/grpc/check.rs", text).len(), 1);
    assert_eq!(statuses("src/grpc/status.rs", text), Vec::<String>::new());
    assert_eq!(
        statuses(
            "src/grpc/verification/convert.rs",
            "use tonic::Request;\nfn f() { Status::Pending }"
        ),
        Vec::<String>::new()
    );
}

#[test]
fn the_dependencies_are_read_from_the_manifest() {
    let manifest = "[package]\nname = \"x\"\n\n[dependencies]\n# text\nasync-trait = \"0.1\"\nhex = { version = \"0.4\" }\n\n[dev-dependencies]\ny = \"1\"\n";
    assert_eq!(dependencies(manifest), ["async_trait", "hex"]);
}
