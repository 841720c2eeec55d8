//! `check-config` reports every mistake in one round, once, and nothing that only follows from one.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use crate::harness::binary::{Process, binary};

mod kinds;

/// A folder with correct production settings and all files that they name; tests introduce mistakes.
struct Bed {
    dir: tempfile::TempDir,
    text: String,
}

const SETTINGS: &str = r#"
profile = "production"
data_dir = "DIR/data"
[store]
url = "rediss://countersign@redis.internal:6379"
password_file = "DIR/redis.password"
ca_file = "DIR/store-ca.pem"
client_cert_file = "DIR/store.pem"
client_key_file = "DIR/store.key"
[grpc]
listen = "0.0.0.0:50051"
tls_cert_file = "DIR/grpc.pem"
tls_key_file = "DIR/grpc.key"
max_streams = 100
[http]
listen = "127.0.0.1:8080"
public_url = "https://otp.bank.example"
trusted_proxies = ["127.0.0.1"]
[admin]
listen = "127.0.0.1:9464"
[keys]
names_file = "DIR/keys/names.key"
ring = [{ kid = "b", file = "DIR/keys/b.key" }, { kid = "a", file = "DIR/keys/a.key" }]
[callers.payments]
tenant = "bank"
roles = ["frontend"]
api_key_sha256 = ["HASH0", "HASH1"]
[callers.desk]
tenant = "desks"
roles = ["agent"]
api_key_sha256 = "HASH2"
[tenants.desks]
brand = "Desk"
[senders.mail]
kind = "smtp"
host = "mail.bank.example"
from = "no-reply@bank.example"
username = "bank"
password_file = "DIR/mail.password"
hello_name = "otp.bank.example"
[senders.api]
kind = "http"
channels = ["sms"]
url = "https://api.provider.example/send"
json = '{"to": "{{ address }}", "text": "{{ text }}"}'
auth = "bearer"
token_file = "DIR/api.token"
[senders.api.receipts]
scheme = "standard_webhooks"
secret_files = ["DIR/receipts.secret"]
[routes.email]
senders = ["mail"]
[routes.sms]
senders = ["api"]
[countries]
allowed = ["NL"]
[spend]
hour = 50
[spend.costs]
sms = 0.08
[actions.login]
entry_modes = ["portal", "link"]
attempts = 3
[messages]
brand = "Example Bank"
[log]
level = "info"
"#;

/// A self-signed certificate, valid in these years, and its key.
fn certificate(years: (i32, i32)) -> (String, String) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

impl Bed {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for kid in ["a", "b"] {
            let made = binary()
                .args(["keys", "generate", "--kid", kid, "--out"])
                .arg(dir.path().join("keys"))
                .output()
                .unwrap();
            assert!(made.status.success(), "conf_04: a ring key beside names");
        }
        let mut text = SETTINGS.replace("DIR", &dir.path().display().to_string());
        for number in 0..3 {
            let hash = countersign::domain::caller::api_key_hash(&format!("key {number}"));
            text = text.replace(&format!("HASH{number}"), &hex::encode(hash));
        }
        let bed = Self { dir, text };
        for (name, secret) in [
            ("redis.password", "r3dis"),
            ("mail.password", "m4il"),
            ("api.token", "t0ken"),
            ("receipts.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ] {
            bed.write(name, &format!("{secret}\n"));
        }
        for name in ["grpc", "store"] {
            bed.pair(name, (2020, 2090));
        }
        bed.pair("store-ca", (2020, 2090));
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn pair(&self, name: &str, years: (i32, i32)) {
        let (certificate, key) = certificate(years);
        self.write(&format!("{name}.pem"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    /// Replaces a part of the settings, which must be there once.
    fn replace(&mut self, part: &str, by: &str) {
        assert_eq!(self.text.matches(part).count(), 1, "{part}");
        self.text = self.text.replace(part, by);
    }

    /// The exit code, standard output and standard error of a command with these settings.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let file = self.path("settings.toml");
        fs::write(&file, &self.text).unwrap();
        let output = binary().args(arguments).arg("--config").arg(&file).output();
        let output = output.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    fn check(&self) -> (Option<i32>, String, String) {
        self.run(&["check-config"])
    }
}

type Spoil = fn(&mut Bed);

/// A mistake: how it is made, its key, and a part of what is said about it.
const MISTAKES: [(Spoil, &str, &str); 38] = [
    (
        |bed| {
            bed.write("data", "a file");
        },
        "data_dir",
        "is not a directory",
    ),
    (
        |bed| bed.write("redis.password", "\u{feff}r3dis"),
        "store.password_file",
        "byte order mark",
    ),
    (
        |bed| bed.pair("store-ca", (2020, 2021)),
        "store.ca_file",
        "expired on 2021-01-01",
    ),
    (
        |bed| bed.write("store.key", &certificate((2020, 2090)).1),
        "store.client_key_file",
        "of client_cert_file cannot be used together",
    ),
    (
        |bed| bed.replace("max_streams = 100", "max_streams = 0"),
        "grpc.max_streams",
        "must be from 1",
    ),
    (
        |bed| bed.pair("grpc", (2020, 2021)),
        "grpc.tls_cert_file",
        "the certificate expired on 2021-01-01",
    ),
    (
        |bed| {
            bed.replace(
                "listen = \"127.0.0.1:8080\"",
                "listen = \"127.0.0.1:50051\"",
            );
        },
        "http.listen",
        "grpc.listen is 0.0.0.0:50051",
    ),
    (
        |bed| bed.replace("https://otp.bank.example", "https://otp.bank.example?x=1"),
        "http.public_url",
        "must not have a query",
    ),
    (
        |bed| {
            bed.replace(
                "\"127.0.0.1:9464\"",
                "\"192.0.2.1:9464\"\nplaintext_allowed = true",
            );
        },
        "admin.listen",
        "no address of this machine",
    ),
    (
        |bed| bed.replace("keys/b.key", "keys/names.key"),
        "keys.ring.0.file",
        "holds the secret of keys.names_file too",
    ),
    (
        |bed| bed.mode("keys/a.key", 0o644),
        "keys.ring.1.file",
        "has mode 644",
    ),
    (
        |bed| bed.replace("a.key\" }]", "a.key\" }, { kid = \"b\", file = \"/x\" }]"),
        "keys.ring.2.kid",
        "as that of another key",
    ),
    (
        |bed| bed.replace("roles = [\"frontend\"]", "roles = [\"frontent\"]"),
        "callers.payments.roles",
        "each must be one of",
    ),
    (
        |bed| bed.replace("api_key_sha256 = [\"", "api_key_sha256 = [\"csk_abc\", \""),
        "callers.payments.api_key_sha256",
        "has an API key itself",
    ),
    (
        |bed| bed.replace("tenant = \"desks\"\n", ""),
        "callers.desk.tenant",
        "is required",
    ),
    (
        |bed| bed.replace("no-reply@bank.example", "nobody"),
        "senders.mail.from",
        "",
    ),
    (
        |bed| bed.write("mail.password", "m4il\r\n"),
        "senders.mail.password_file",
        "carriage return",
    ),
    (
        |bed| bed.replace("hello_name = \"otp.bank.example\"", "hello_name = \"a b\""),
        "senders.mail.hello_name",
        "",
    ),
    (
        |bed| bed.replace("url = \"https://api.provider.example/send\"\n", ""),
        "senders.api.url",
        "is required",
    ),
    (
        |bed| bed.write("api.token", "t0ken\n\n"),
        "senders.api.token_file",
        "has 2 lines",
    ),
    (
        |bed| fs::remove_file(bed.path("receipts.secret")).unwrap(),
        "senders.api.receipts.secret_files",
        "cannot be read",
    ),
    (
        |bed| bed.replace("allowed = [\"NL\"]", "allowed = [\"XX\"]"),
        "countries.allowed",
        "has \"XX\"",
    ),
    (
        |bed| bed.replace("sms = 0.08", "sms = -1"),
        "spend.costs.sms",
        "",
    ),
    (
        |bed| bed.replace("attempts = 3", "attempts = 99"),
        "actions.login.attempts",
        "must be from 1",
    ),
    (
        |bed| bed.replace("brand = \"Desk\"", "brand = \" Desk\""),
        "tenants.desks.brand",
        "must be 1 to 40",
    ),
    (
        |bed| bed.replace("\"Example Bank\"", "\"Example Bank \""),
        "messages.brand",
        "must be 1 to 40",
    ),
    (
        |bed| bed.replace("level = \"info\"", "level = \"verbose\""),
        "log.level",
        "is not a level",
    ),
    (
        |bed| bed.replace("[log]", "[log]\ncolour = true"),
        "log.colour",
        "is not a setting",
    ),
    // From here on those that take the place of one above.
    (
        |bed| bed.replace("\"production\"", "\"prodution\""),
        "profile",
        "must be one of development, production",
    ),
    (
        |bed| bed.replace("rediss://countersign@", "mysql://"),
        "store.url",
        "",
    ),
    (
        |bed| {
            bed.replace(
                "url = \"rediss://countersign@redis.internal:6379\"\n",
                &format!("url = \"embedded:{}\"\n", bed.path("keys").display()),
            );
        },
        "store.url",
        "it is not a regular file",
    ),
    (
        |bed| bed.pair("grpc", (2080, 2090)),
        "grpc.tls_cert_file",
        "is not valid before 2080-01-01",
    ),
    (
        |bed| bed.write("grpc.pem", "no PEM"),
        "grpc.tls_cert_file",
        "the file holds no usable certificate",
    ),
    (
        |bed| fs::remove_file(bed.path("grpc.key")).unwrap(),
        "grpc.tls_key_file",
        "cannot be read",
    ),
    (
        |bed| bed.replace("0.0.0.0:50051", "nowhere"),
        "grpc.listen",
        "must be an IP address and a port",
    ),
    (
        |bed| {
            let file = bed.path("keys/b.key");
            fs::remove_file(&file).unwrap();
            symlink(bed.path("keys/a.key"), file).unwrap();
        },
        "keys.ring.1.file",
        "holds the secret of keys.ring.0.file too",
    ),
    (
        |bed| bed.replace("ring = [{ kid = \"b\"", "ring = [{ kid = \"B\""),
        "keys.ring.0.kid",
        "must be 1 to 16",
    ),
    (
        |bed| bed.replace("kind = \"smtp\"", "kind = \"smpt\""),
        "senders.mail.kind",
        "must be one of",
    ),
];
/// How many of them can be made together.
const TOGETHER: usize = 28;

/// The keys of a report, and whether each part is said.
fn keys(report: &str) -> Vec<&str> {
    let lines = report.lines().filter_map(|line| line.strip_prefix("  "));
    lines
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect()
}

#[test]
fn conf_04_correct_settings_end_with_a_line_that_says_so() {
    let mut bed = Bed::new();
    let (code, effective, said) = bed.check();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said, "the settings can be used, with no warnings\n");
    assert!(effective.contains("api_key_sha256 = [\"(masked)\", \"(masked)\"]"));
    // A group of ours may read secrets, as Kubernetes arranges it.
    for name in ["redis.password", "keys/a.key", "grpc.key"] {
        bed.mode(name, 0o440);
    }
    let now = jiff_year();
    bed.pair("grpc", (2020, now + 1));
    bed.replace("https://otp.bank.example", "https://192.0.2.1");
    let (code, _, said) = bed.check();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning: http.public_url: is an address"),
        "{said}"
    );
    assert!(said.ends_with("can be used, with 1 warning\n"), "{said}");
}

/// The present year, read as the binary reads it.
fn jiff_year() -> i32 {
    jiff::Zoned::now().year().into()
}

#[test]
fn conf_04_each_mistake_alone_is_one_line() {
    for (spoil, key, part) in MISTAKES {
        let mut bed = Bed::new();
        spoil(&mut bed);
        let (code, shown, report) = bed.check();
        assert_eq!((code, shown.as_str()), (Some(2), ""), "{key}: {report}");
        assert_eq!(keys(&report), [key], "{report}");
        assert!(
            report.starts_with("1 mistake in the settings:") && report.contains(part),
            "{report}"
        );
    }
}

#[test]
fn conf_04_all_mistakes_together_are_one_report_at_check_and_start() {
    let mut bed = Bed::new();
    let made = &MISTAKES[..TOGETHER];
    for (spoil, _, _) in made {
        spoil(&mut bed);
    }
    let mut expected: Vec<_> = made.iter().map(|(_, key, _)| *key).collect();
    expected.sort_unstable();
    for arguments in [["check-config"].as_slice(), &["serve"]] {
        let (code, _, report) = bed.run(arguments);
        assert_eq!(code, Some(2), "{report}");
        let mut found = keys(&report);
        found.sort_unstable();
        assert_eq!(found, expected, "{report}");
        for (_, key, part) in made {
            assert!(report.contains(part), "{key}: {part}: {report}");
        }
    }
}

#[test]
fn conf_04_secrets_in_urls_headers_and_bodies_are_masked() {
    let mut bed = Bed::new();
    bed.replace(
        "url = \"https://api.provider.example/send\"",
        "url = \"https://api.provider.example/send?api_key=s3cret&to=x\"\n\
         headers = { Authorization = \"Basic s3cret\", X-Api-Key = \"s3cret\", Accept = \"text/plain\" }",
    );
    bed.replace("'{\"to\"", "'{\"password\": \"s3cret\", \"to\"");
    bed.replace("auth = \"bearer\"\n", "");
    let token = format!("token_file = \"{}\"\n", bed.path("api.token").display());
    bed.replace(&token, "");
    let (code, effective, said) = bed.check();
    assert_eq!(code, Some(0), "{said}");
    assert!(!effective.contains("s3cret") && !said.contains("s3cret"));
    for shown in [
        "?api_key=(masked)&to=x",
        "\"Accept\" = \"text/plain\"",
        "{\\\"password\\\": \\\"(masked)\\\", \\\"to\\\": \\\"{{ address }}\\\"",
    ] {
        assert!(effective.contains(shown), "{shown}: {effective}");
    }
    // Not even in a mistake.
    bed.replace("https://api.provider", "http://user:s3cret@api.provider");
    let (code, _, report) = bed.check();
    assert_eq!(code, Some(2));
    assert!(
        report.contains("senders.api.url") && !report.contains("s3cret"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn conf_04_each_key_of_a_caller_opens_the_door() {
    use crate::harness::{login, unique, with_key};
    let dir = tempfile::tempdir().unwrap();
    let hash = |key: &str| hex::encode(countersign::domain::caller::api_key_hash(key));
    let text = format!(
        "[callers.shop]\ntenant = \"default\"\nroles = [\"frontend\"]\napi_key_sha256 = [\"{}\", \"{}\"]\n",
        hash("old key"),
        hash("new key")
    );
    let file = dir.path().join("settings.toml");
    fs::write(&file, text).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let process = Process::start_with(dir.path(), &[], &arguments);
    let mut client = process.client().await;
    for (key, admitted) in [("old key", true), ("new key", true), ("other key", false)] {
        let request = with_key(key, login(&unique("s")));
        let answer = client.start_verification(request).await;
        assert_eq!(answer.is_ok(), admitted, "{key}: {answer:?}");
    }
}

#[test]
fn conf_04_a_certificate_that_ends_soon_is_a_warning() {
    let bed = Bed::new();
    // OpenSSL counts days from now.
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-nodes", "-subj", "/CN=x", "-days", "3"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(bed.path("grpc.key"))
        .arg("-out")
        .arg(bed.path("grpc.pem"))
        .output()
        .unwrap();
    assert!(made.status.success());
    let (code, _, said) = bed.check();
    assert!(
        code == Some(0) && said.ends_with("with no warnings\n"),
        "{said}"
    );
    shorten(&bed.path("grpc.pem"), &bed.path("grpc.key"));
    let (code, _, said) = bed.check();
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("warning: grpc.tls_cert_file: the certificate expires on ")
            && said.contains("in 5 days"),
        "{said}"
    );
    assert!(said.ends_with("the settings can be used, with 1 warning\n"));
}

/// Replaces a certificate by one that began long ago and ends in a few days.
fn shorten(certificate: &Path, key: &Path) {
    use jiff::ToSpan as _;
    let end = jiff::Zoned::now().date().checked_add(6.days()).unwrap();
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    let (month, day) = (end.month().unsigned_abs(), end.day().unsigned_abs());
    params.not_after = rcgen::date_time_ymd(end.year().into(), month, day);
    let pair = rcgen::KeyPair::generate().unwrap();
    let made = params.self_signed(&pair).unwrap();
    fs::write(certificate, made.pem()).unwrap();
    fs::write(key, pair.serialize_pem()).unwrap();
}
