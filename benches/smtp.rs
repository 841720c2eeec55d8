//! The SMTP sender against Postfix's own `smtp-source`: both send to the same `smtp-sink` over as many connections, in
//! turns.
//!
//! `cargo bench --bench smtp -- [CONNECTIONS [MAILS [TURNS]]]`. Needs Debian's package postfix. `smtp-source` keeps its
//! connections (`-d`) and sends mails of the same size, but neither signs (`dkim`: RSA and Ed25519) nor composes them,
//! so a ratio below 1 is the cost of that.

#[path = "../tests/rig/rig.rs"]
mod rig;

use std::{
    alloc::System,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use aws_lc_rs::{
    encoding::AsDer as _,
    rsa::KeySize,
    signature::{Ed25519KeyPair, RsaKeyPair},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use countersign::{
    domain::{
        code::guess::Digits,
        crypto::keyring::{Keyring, Kid, SECRET_BYTES, Secret},
        delivery::receipt::ReceiptToken,
        ids::{ActionName, DeliveryId, SubjectKey, TenantId, VerificationId},
        recipient::{Channel, Recipient},
        time::Timestamp,
        verification::binding::Binding,
    },
    format::secret::SecretText,
    message::{Facts, Messages, Wording},
    ports::sender::{Message, Sender},
    sender::smtp::{DkimKey, DkimSettings, Smtp, SmtpSettings, SmtpTls},
    system::SystemClock,
};
use zeroizing_alloc::ZeroAlloc;

use self::rig::SmtpSink;

/// Wipes memory when it is freed, as the binary does, so that the figures include the cost.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// The approximate size of a mail without its body: the headers that `smtp-source` adds have the same size.
const HEADERS: usize = 300;

struct Plan {
    connections: u32,
    mails: u32,
    turns: u32,
}

fn main() -> anyhow::Result<()> {
    let numbers: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let number = |at: usize, usual| numbers.get(at).copied().unwrap_or(usual);
    let plan = Plan {
        connections: number(0, 16),
        mails: number(1, 10_000),
        turns: number(2, 5),
    };
    let sink = SmtpSink::start(&["-m", "1000"]);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let message = Arc::new(message()?);
    let size =
        message.content.text.len() + message.content.html.as_ref().map_or(0, String::len) + HEADERS;
    let unsigned = Arc::new(Smtp::new(
        &settings(&plan, sink.port, None),
        Arc::new(SystemClock::new()),
    )?);
    let signed = Arc::new(Smtp::new(
        &settings(&plan, sink.port, Some(dkim()?)),
        Arc::new(SystemClock::new()),
    )?);
    println!(
        "{} mails of about {size} bytes over {} connections, {} turns",
        plan.mails, plan.connections, plan.turns
    );
    runtime.block_on(ours(&plan, &unsigned, &message))?; // warm
    let mut rates = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..plan.turns {
        for (rates, took) in rates.iter_mut().zip([
            theirs(&plan, sink.port, size)?,
            runtime.block_on(ours(&plan, &unsigned, &message))?,
            runtime.block_on(ours(&plan, &signed, &message))?,
        ]) {
            rates.push(f64::from(plan.mails) / took.as_secs_f64());
        }
    }
    let [source, unsigned, signed] = rates.map(Spread::of);
    source.print("smtp-source", &source);
    unsigned.print("our sender", &source);
    signed.print("our sender, signing with RSA and Ed25519", &source);
    Ok(())
}

/// Mails a second, over the turns.
struct Spread {
    least: f64,
    middle: f64,
    most: f64,
}

impl Spread {
    fn of(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        Self {
            least: rates[0],
            middle: rates[rates.len() / 2],
            most: rates[rates.len() - 1],
        }
    }

    fn print(&self, name: &str, beside: &Self) {
        let Self {
            least,
            middle,
            most,
        } = self;
        println!(
            "  {name:<42} {middle:>8.0} a second ({least:.0} to {most:.0}), ratio {:.2}",
            middle / beside.middle
        );
    }
}

fn theirs(plan: &Plan, port: u16, size: usize) -> anyhow::Result<Duration> {
    let (connections, mails, size) = (
        plan.connections.to_string(),
        plan.mails.to_string(),
        size.to_string(),
    );
    let mut command = Command::new("/usr/sbin/smtp-source");
    command.args([
        "-d",
        "-s",
        &connections,
        "-m",
        &mails,
        "-l",
        &size,
        "-f",
        "a@bank.example",
        "-t",
        "b@example.org",
    ]);
    let begun = Instant::now();
    let ended = command
        .arg(format!("inet:127.0.0.1:{port}"))
        .status()
        .context("smtp-source is missing")?;
    anyhow::ensure!(ended.success(), "smtp-source failed");
    Ok(begun.elapsed())
}

async fn ours(plan: &Plan, smtp: &Arc<Smtp>, message: &Arc<Message>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut hands = tokio::task::JoinSet::new();
    for hand in 0..plan.connections {
        let (smtp, message) = (smtp.clone(), message.clone());
        let mails = plan.mails / plan.connections + u32::from(hand < plan.mails % plan.connections);
        hands.spawn(async move {
            for _ in 0..mails {
                smtp.send(&message).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(hand) = hands.join_next().await {
        hand??;
    }
    Ok(begun.elapsed())
}

fn message() -> anyhow::Result<Message> {
    let (tenant, action) = (TenantId::parse("bank")?, ActionName::parse("payment")?);
    let wording = Wording {
        default_language: "en",
        brand: "Voorbeeld Bank",
        ..Wording::default()
    };
    let messages =
        Messages::load(&wording).map_err(|_| anyhow::anyhow!("the built-in texts are right"))?;
    let (code, binding) = (
        Digits::from_ascii(b"123456").context("it is six digits")?,
        Binding::default(),
    );
    let channel = Channel::Email;
    let facts = Facts {
        tenant: &tenant,
        channel,
        locale: None,
        action: &action,
        code: &code,
        binding: &binding,
        minutes: 5,
        link: None,
    };
    let (delivery, subject) = (DeliveryId([7; 16]), SubjectKey([1; 16]));
    let ring = [(Kid::parse("k1")?, Secret::new([2; SECRET_BYTES]))];
    let keyring = Keyring::new(&Secret::new([1; SECRET_BYTES]), &ring)
        .map_err(|_| anyhow::anyhow!("it is a ring"))?;
    Ok(Message {
        delivery,
        verification: VerificationId {
            subject,
            random: [2; 16],
        },
        receipt: ReceiptToken::new(&keyring, "mail", &subject, &delivery),
        recipient: Recipient::parse(channel, "anna@example.org")
            .map_err(|_| anyhow::anyhow!("it is an address"))?,
        content: messages.render(&facts).into(),
        code,
        expires_at: Timestamp::from_micros(u64::MAX),
    })
}

fn settings(plan: &Plan, port: u16, dkim: Option<DkimSettings>) -> SmtpSettings {
    SmtpSettings {
        host: "127.0.0.1".to_owned(),
        port,
        from: "Voorbeeld Bank <no-reply@bank.example>".to_owned(),
        tls: SmtpTls::None,
        credentials: None,
        ca_file: None,
        timeout: Duration::from_secs(10),
        pool_max: plan.connections,
        hello_name: Some("service.example".to_owned()),
        dkim,
    }
}

fn dkim() -> anyhow::Result<DkimSettings> {
    let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
    let ed25519: aws_lc_rs::encoding::Pkcs8V1Der<'_> = Ed25519KeyPair::generate()?.as_der()?;
    let key = |selector: &str, der: &[u8]| {
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(der)
        );
        DkimKey {
            selector: selector.to_owned(),
            pem: SecretText::new(pem),
        }
    };
    let keys = vec![key("rsa", rsa.as_ref()), key("ed25519", ed25519.as_ref())];
    Ok(DkimSettings {
        domain: "bank.example".to_owned(),
        keys,
    })
}
