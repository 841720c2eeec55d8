//! Mistakes of every kind of setting: each is told completely in one round, with the key to correct and nothing that
//! only follows from it.

use std::{fs, process::Command};

use super::{Bed, Spoil, keys};
use crate::harness::binary::binary;

/// A mistake, or several in one place: how they are made, and the key and a part of each line of the report.
type Kind = (Spoil, &'static [(&'static str, &'static str)]);

/// Mistakes that can be made together, one for each family of settings.
const TOGETHER: [Kind; 11] = [
    (
        |bed| {
            bed.replace(
                "max_streams = 100",
                "max_streams = 1.5\nmax_connections = true",
            );
        },
        &[
            ("grpc.max_connections", "is true; it must be a whole number"),
            ("grpc.max_streams", "is 1.5; it must be a whole number"),
        ],
    ),
    (
        |bed| {
            bed.append(
                "[grpc]",
                "max_in_flight = 10\nmax_in_flight_per_caller = 100\n",
            );
        },
        &[(
            "grpc.max_in_flight_per_caller",
            "is more than max_in_flight",
        )],
    ),
    (
        |bed| {
            bed.append("[store]", "sentinel_username = \"x\"\n");
        },
        &[(
            "store.sentinel_password_file",
            "is required with sentinel_username",
        )],
    ),
    (
        |bed| bed.replace("[tenants.desks]", "[tenants.dekss]"),
        &[("tenants.dekss", "did you mean desks?")],
    ),
    (
        |bed| {
            bed.key("ec.pem", "EC");
            let table = "dkim_domain = \"other.example\"\ndkim_keys = [{ selector = \"s 1\", file = \"DIR/ec.pem\" }, \
                         { file = \"/nowhere/x\" }]\n";
            bed.append("[senders.mail]", table);
        },
        &[
            ("senders.mail.dkim_domain", "must be the domain of from"),
            ("senders.mail.dkim_keys.0.file", "holds no private key"),
            ("senders.mail.dkim_keys.0.selector", "is no host name"),
            ("senders.mail.dkim_keys.1.file", "cannot be read"),
            ("senders.mail.dkim_keys.1.selector", "is required"),
        ],
    ),
    (
        |bed| {
            bed.replace(
                "\"text\": \"{{ text }}\"",
                "\"text\": \"{{ txt }}\", \"x\": \"{{ y\"",
            );
            let table = "headers = { \"X y\" = \"a\", Host = \"b\", Ok = \"{{ nope }}\", authorization = \"c\" }\n\
                         query = { a = \"{{ b }}\" }\nca_file = \"/nowhere/ca.pem\"\nallow_host = []\n";
            bed.append("[senders.api]", table);
        },
        &[
            ("senders.api.allow_host", "did you mean allow_hosts?"),
            ("senders.api.ca_file", "cannot be read"),
            (
                "senders.api.headers.Host",
                "is not a header that may be set",
            ),
            ("senders.api.headers.Ok", "{{ nope }}"),
            ("senders.api.headers.X y", "is not a header that may be set"),
            (
                "senders.api.headers.authorization",
                "is the header that auth sets",
            ),
            ("senders.api.json", "{{ txt }}"),
            ("senders.api.json", "has {{ without }}"),
            ("senders.api.query.a", "{{ b }}"),
        ],
    ),
    (
        |bed| {
            let table = "[hook]\nkind = \"http\"\nurl = \"http://hook.example\"\nsecret_files = [\"DIR/api.token\"]\n\
                         ca_file = \"/nowhere/ca.pem\"\ntimeout_ms = 5\n";
            bed.text.push_str(&bed.placed(table));
        },
        &[
            ("hook.ca_file", "cannot be read"),
            ("hook.default", "is required"),
            ("hook.secret_files", "whsec_"),
            ("hook.timeout_ms", "must be from 50"),
            ("hook.url", "must begin with https://"),
        ],
    ),
    (
        |bed| bed.replace("senders = [\"mail\"]", "senders = [\"mial\"]"),
        &[("routes.email.senders", "did you mean mail?")],
    ),
    (
        |bed| {
            bed.replace(
                "entry_modes = [\"portal\", \"link\"]",
                "entry_modes = []\nchannels = []\nbinding = [\"a\", \"a\"]\ncode_lifetime = 60",
            );
        },
        &[
            ("actions.login.binding", "has \"a\" twice"),
            ("actions.login.channels", "is empty"),
            (
                "actions.login.code_lifetime",
                "did you mean code_lifetime_s?",
            ),
            ("actions.login.entry_modes", "is empty"),
        ],
    ),
    (
        |bed| {
            let table =
                "android_hash = \"x\"\nweb_host = \"https://x\"\ndefault_language = \"xx\"\n";
            bed.append("[messages]", table);
        },
        &[
            ("messages.android_hash", "11 characters"),
            ("messages.default_language", "is not one of"),
            ("messages.web_host", "must be a host name"),
        ],
    ),
    (
        |bed| {
            bed.text
                .push_str("[quotas]\nrecipients = { count = 5 }\n[logs]\nlevel = \"info\"\n");
        },
        &[
            ("logs", "did you mean log?"),
            ("quotas.recipients", "did you mean recipient?"),
        ],
    ),
];

/// Mistakes that take the place of others.
const ALONE: [Kind; 21] = [
    (
        |bed| bed.replace("rediss://countersign@", "redis://countersign@"),
        &[("store.url", "is not encrypted, but certificates are set")],
    ),
    (
        |bed| {
            bed.write(
                "grpc.pem",
                "-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n",
            );
        },
        &[("grpc.tls_cert_file", "but CERTIFICATE REQUEST")],
    ),
    (
        |bed| {
            bed.write("grpc.pem", "no PEM");
            bed.mode("grpc.key", 0o644);
        },
        &[
            ("grpc.tls_cert_file", "no CERTIFICATE section"),
            ("grpc.tls_key_file", "has mode 644"),
        ],
    ),
    (
        |bed| {
            bed.write("store.key", "no PEM");
            fs::remove_file(bed.path("store.pem")).unwrap();
        },
        &[
            ("store.client_cert_file", "cannot be read"),
            ("store.client_key_file", "no PRIVATE KEY section"),
        ],
    ),
    (
        |bed| {
            bed.openssl(&[
                "pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:x", "-in", "grpc.key",
                "-out", "new.key",
            ]);
            fs::rename(bed.path("new.key"), bed.path("grpc.key")).unwrap();
            bed.mode("grpc.key", 0o600);
        },
        &[("grpc.tls_key_file", "it is encrypted; decrypt it")],
    ),
    (
        |bed| {
            let own = fs::read_to_string(bed.path("grpc.pem")).unwrap();
            let other = fs::read_to_string(bed.path("store.pem")).unwrap();
            bed.write("grpc.pem", &format!("{other}{own}"));
        },
        &[("grpc.tls_key_file", "that of certificate 2 of the file")],
    ),
    (
        |bed| bed.purpose("grpc", "clientAuth"),
        &[(
            "grpc.tls_cert_file",
            "its extended key usage lacks serverAuth",
        )],
    ),
    (
        |bed| bed.purpose("store", "serverAuth"),
        &[(
            "store.client_cert_file",
            "its extended key usage lacks clientAuth",
        )],
    ),
    (
        |bed| bed.replace("channels = [\"sms\"]", "channels = [\"smss\"]"),
        &[("senders.api.channels", "has \"smss\"")],
    ),
    (
        |bed| bed.replace("\"text\": \"{{ text }}\"", "\"text\": \"hello\""),
        &[("senders.api.json", "customers get no code")],
    ),
    (
        |bed| {
            bed.append(
                "[senders.api]",
                "form = { a = \"{{ text }}\" }\nxml = \"<a>{{ text }}</a>\"\n",
            );
        },
        &[("senders.api.form", "is set together with json and xml")],
    ),
    (
        |bed| {
            bed.replace(
                "https://api.provider.example/send",
                "http://api.provider.example/send",
            );
            bed.replace("{{ text }}", "{{ txt }}");
        },
        &[
            ("senders.api.json", "{{ txt }}"),
            ("senders.api.url", "must begin with https://"),
        ],
    ),
    (
        |bed| {
            bed.replace("host = \"mail.bank.example\"\n", "");
            bed.replace("hello_name = \"otp.bank.example\"", "hello_name = \"a b\"");
        },
        &[
            ("senders.mail.hello_name", ""),
            ("senders.mail.host", "is required"),
        ],
    ),
    (
        |bed| bed.replace("scheme = \"standard_webhooks\"", "scheme = \"hmac\""),
        &[("senders.api.receipts.scheme", "must be one of")],
    ),
    (
        |bed| bed.replace("[routes.sms]", "[routes.smss]"),
        &[("routes.smss", "is not a channel")],
    ),
    (
        |bed| {
            bed.replace("[routes.sms]", "[routes.smss]");
            bed.replace(
                "attempts = 3",
                "channels = [\"sms\"]\nplan = [\"sms 40s\", \"email\"]",
            );
        },
        &[("routes.smss", "is not a channel")],
    ),
    (
        |bed| {
            bed.replace(
                "[actions.login]\nentry_modes = [\"portal\", \"link\"]\nattempts = 3\n",
                "",
            );
        },
        &[("actions", "production needs at least one action")],
    ),
    (
        |bed| {
            bed.replace(
                "[messages]",
                "[messages]\ntemplates_dir = \"/nowhere/texts\"",
            );
        },
        &[("messages.templates_dir", "/nowhere/texts: cannot be read")],
    ),
    (
        |bed| bed.replace("profile = \"production\"\n", ""),
        &[("grpc.listen", "set profile = \"production\"")],
    ),
    (
        |bed| bed.replace("max_streams = 100", "max_streams = 99999999999999999999"),
        &[("", "the number of max_streams is too large")],
    ),
    (
        |bed| bed.replace("level = \"info\"", "level = \"info\"\nlevel = \"warn\""),
        &[("", ", column 1: duplicate key")],
    ),
];

/// What a test changes beside single words.
impl Bed {
    /// The text with the folder of the files in place of `DIR`.
    fn placed(&self, text: &str) -> String {
        text.replace("DIR", &self.path("").display().to_string())
    }

    /// Adds lines to a table, which must be there once.
    fn append(&mut self, table: &str, lines: &str) {
        let lines = self.placed(lines);
        self.replace(&format!("{table}\n"), &format!("{table}\n{lines}"));
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.path(""))
            .output();
        assert!(output.unwrap().status.success(), "{arguments:?}");
    }

    /// A private key of the kind that certificates have.
    fn key(&self, name: &str, algorithm: &str) {
        let curve = "ec_paramgen_curve:P-256";
        self.openssl(&[
            "genpkey",
            "-algorithm",
            algorithm,
            "-pkeyopt",
            curve,
            "-out",
            name,
        ]);
        self.mode(name, 0o600);
    }

    /// A pair whose certificate has this extended key usage only.
    fn purpose(&self, name: &str, usage: &str) {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
        let usage = format!("extendedKeyUsage={usage}");
        let subject = ["-subj", "/CN=x", "-addext", "subjectAltName=DNS:localhost"];
        let request = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ];
        let files = ["-addext", &usage, "-keyout", &key, "-out", &certificate];
        self.openssl(&[&request[..], &subject, &files].concat());
        self.mode(&key, 0o600);
    }
}

/// Every line of a report has its key and says its part, and there is no other line.
fn assert_told(report: &str, expected: &[(&str, &str)]) {
    let lines: Vec<&str> = report.lines().skip(1).collect();
    assert_eq!(lines.len(), expected.len(), "{expected:?}\n{report}");
    for (line, (key, part)) in lines.iter().zip(expected) {
        let told = line.trim_start();
        assert!(
            told.starts_with(key) && told.contains(part),
            "{key}: {part}\n{report}"
        );
    }
}

#[test]
fn conf_04_each_kind_of_mistake_is_told_with_its_key_and_without_what_follows_from_it() {
    for (spoil, expected) in TOGETHER.iter().chain(&ALONE) {
        let mut bed = Bed::new();
        spoil(&mut bed);
        let (code, shown, report) = bed.check();
        assert_eq!(
            (code, shown.as_str()),
            (Some(2), ""),
            "{expected:?}: {report}"
        );
        assert_told(&report, expected);
    }
}

#[test]
fn conf_04_mistakes_of_all_families_together_are_told_in_one_round() {
    let mut bed = Bed::new();
    let mut expected = Vec::new();
    for (spoil, lines) in TOGETHER {
        spoil(&mut bed);
        expected.extend(lines);
    }
    expected.sort_unstable();
    let (code, _, report) = bed.check();
    assert_eq!(code, Some(2), "{report}");
    let mut found = keys(&report);
    found.sort_unstable();
    let wanted: Vec<&str> = expected.iter().map(|(key, _)| *key).collect();
    assert_eq!(found, wanted, "{report}");
    for (key, part) in expected {
        assert!(report.contains(part), "{key}: {part}\n{report}");
    }
}

#[test]
fn conf_04_a_variable_that_is_almost_a_setting_is_a_mistake() {
    let bed = Bed::new();
    let file = bed.path("settings.toml");
    fs::write(&file, &bed.text).unwrap();
    let told = |name: &str, value: &str| {
        let output = binary()
            .args(["check-config", "--config"])
            .arg(&file)
            .env(name, value)
            .output()
            .unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), report)
    };
    for (name, meant) in [
        ("COUNTERSIGN_PROFILE", "write COUNTERSIGN__PROFILE"),
        ("COUNTERSIGN_LOG_LEVEL", "write COUNTERSIGN__LOG__LEVEL"),
        (
            "COUNTERSIGN__GRPC_TLS_CERT_FILE",
            "write COUNTERSIGN__GRPC__TLS_CERT_FILE",
        ),
        ("countersign__log__level", "write COUNTERSIGN__LOG__LEVEL"),
        ("COUNTERSIGN__LOG__", "write COUNTERSIGN__SECTION__KEY"),
    ] {
        let (code, report) = told(name, "info");
        assert_eq!(code, Some(2), "{report}");
        assert!(report.starts_with("1 mistake in the settings:"), "{report}");
        assert!(report.contains(name) && report.contains(meant), "{report}");
    }
    // Kubernetes sets such variables for a service that is called countersign.
    for name in [
        "COUNTERSIGN_PORT",
        "COUNTERSIGN_SERVICE_HOST",
        "COUNTERSIGN_PORT_50051_TCP_ADDR",
    ] {
        let (code, report) = told(name, "10.0.0.1");
        assert_eq!(code, Some(0), "{name}: {report}");
    }
}

#[test]
fn conf_04_a_variable_that_is_no_text_does_not_end_in_a_panic() {
    use std::os::unix::ffi::OsStringExt as _;
    let bed = Bed::new();
    let file = bed.path("settings.toml");
    fs::write(&file, &bed.text).unwrap();
    let no_text = std::ffi::OsString::from_vec(vec![0xff]);
    let output = binary()
        .args(["check-config", "--config"])
        .arg(&file)
        .env("OTHER", &no_text)
        .env(&no_text, "x")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn conf_04_a_broken_file_is_told_with_its_place_and_without_its_line() {
    let mut bed = Bed::new();
    bed.replace("brand = \"Example Bank\"", "brand = \"s3cret");
    let (code, _, report) = bed.check();
    assert_eq!(code, Some(2));
    let line = bed.text.lines().position(|line| line.contains("s3cret"));
    let place = format!(
        "settings.toml: TOML parse error at line {}",
        line.unwrap() + 1
    );
    assert!(report.contains(&place), "{place}: {report}");
    assert!(!report.contains("s3cret"), "{report}");
}

#[test]
fn conf_04_what_serves_but_helps_nobody_is_a_warning() {
    let mut bed = Bed::new();
    bed.append("[messages]", "templates_dir = \"DIR/texts\"\n");
    let folder = bed.path("texts/en");
    fs::create_dir_all(&folder).unwrap();
    let text = "{{ brand }} {{ action }} {{ code }} {{ details }} {{ never_share }}";
    fs::write(folder.join("lgoin.sms.txt"), text).unwrap();
    bed.text.push_str("[senders.spare]\nkind = \"smtp\"\nhost = \"b.example\"\nfrom = \"a@b.example\"\nhello_name = \"x.b.example\"\n");
    let no_names = [
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=x",
    ];
    bed.openssl(&[&no_names[..], &["-keyout", "grpc.key", "-out", "grpc.pem"]].concat());
    bed.mode("grpc.key", 0o600);
    let (code, _, said) = bed.check();
    assert_eq!(code, Some(0), "{said}");
    for warning in [
        "warning: senders.spare: is in no route",
        "warning: messages.templates_dir: has en/lgoin.sms.txt",
        "warning: grpc.tls_cert_file: the certificate has no subjectAltName",
    ] {
        assert!(said.contains(warning), "{warning}\n{said}");
    }
    assert!(said.ends_with("with 3 warnings\n"), "{said}");
}
