//! Makes the parts of an app from its settings.

use std::{collections::BTreeMap, num::NonZeroU32, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{App, Listeners, Machine, stores};
use crate::{
    config::{self, Profile, SenderSettings, Settings},
    domain::{
        caller::{Caller, Role, Roles, api_key_hash},
        ids::{CallerName, TenantId},
    },
    grpc::auth::{Credential, ShieldRate},
    keys,
    message::Messages,
    ports::{outbox::Outbox, sender::Sender},
    sender::{
        console::Console,
        outbox::OutboxSender,
        smtp::{SecretText, Smtp, SmtpSettings, SmtpTls},
    },
    service::{
        Parts, Service,
        deliver::{Route, Routes},
        hands::Hands,
        policy::{Action, Policy},
    },
    telemetry,
    worker::Worker,
};

impl App {
    /// Makes everything and binds the listeners.
    ///
    /// # Errors
    /// What could not be made, and why.
    pub async fn build(settings: Settings, machine: Machine) -> anyhow::Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.data_dir)
            .with_context(|| format!("cannot make the data directory {}", settings.data_dir.display()))?;
        let development = settings.profile == Profile::Development;
        let keyring = Arc::new(keys::load(&settings)?);
        let (clock, entropy) = (machine.clock.clone(), machine.entropy.clone());
        let store = match &machine.store {
            Some(store) => store.clone(),
            None => stores::open(&settings, &machine).await?,
        };
        let outbox = development.then(Arc::<Outbox>::default);
        let routes = routes(&settings, &machine, outbox.as_ref())?;
        let (hands, jobs) = Hands::new(settings.worker.concurrency);
        let parts = Parts {
            store,
            clock,
            entropy,
            keyring,
            policy: policy(&settings),
            routes,
            messages: Arc::new(messages(&settings)?),
            hands: hands.clone(),
            store_deadline: settings.store.deadline,
            send_deadline: settings.worker.send_deadline,
        };
        let service = Arc::new(Service::new(parts));
        let worker = Worker { service: service.clone(), hands, jobs, poll: settings.worker.poll };
        let (credentials, development_key) = credentials(&settings)?;
        let listeners = Listeners {
            grpc: bind(settings.grpc.listen, "grpc.listen").await?,
            http: bind(settings.http.listen, "http.listen").await?,
            admin: bind(settings.admin.listen, "admin.listen").await?,
        };
        let (metrics, shutdown) = (telemetry::metrics(), CancellationToken::new());
        Ok(Self { settings, machine, service, worker, credentials, outbox, listeners, metrics, shutdown, development_key })
    }

    /// The shield of each caller.
    pub(super) fn shield(&self) -> ShieldRate {
        let positive = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let shield = &self.settings.shield;
        ShieldRate { calls_per_s: positive(shield.calls_per_s), burst: positive(shield.burst) }
    }
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {key} = {address}"))
}

fn policy(settings: &Settings) -> Policy {
    let action = |settings: &config::ActionSettings| Action {
        limits: settings.limits.clone(),
        binding: settings.binding.clone(),
        quota_fallback: settings.quota_fallback,
    };
    Policy {
        actions: settings.actions.iter().map(|(name, rules)| (name.clone(), action(rules))).collect(),
        subject: settings.subject.clone(),
        quotas: settings.quotas.clone(),
    }
}

pub(super) fn messages(settings: &Settings) -> anyhow::Result<Messages> {
    let messages = &settings.messages;
    let dir: Option<&Path> = messages.templates_dir.as_deref();
    Messages::load(dir, &messages.default_language, &messages.brand).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
        anyhow::anyhow!("{} mistake(s) in the message templates:\n{}", lines.len(), lines.join("\n"))
    })
}

/// The callers of the settings, and in development one more that may do everything.
fn credentials(settings: &Settings) -> anyhow::Result<(Vec<Credential>, Option<String>)> {
    let mut credentials: Vec<_> = settings
        .callers
        .iter()
        .map(|(name, caller)| Credential {
            caller: Caller { name: name.clone(), tenant: caller.tenant.clone(), roles: caller.roles.clone() },
            key_sha256: caller.api_key_sha256,
        })
        .collect();
    if settings.profile == Profile::Production {
        return Ok((credentials, None));
    }
    let key = keys::development_api_key(&settings.data_dir)?;
    credentials.push(Credential {
        caller: Caller {
            name: CallerName::parse(config::DEVELOPMENT_CALLER)?,
            tenant: TenantId::parse("default")?,
            roles: Roles::new(Role::ALL.to_vec()),
        },
        key_sha256: api_key_hash(&key),
    });
    Ok((credentials, Some(key)))
}

fn routes(settings: &Settings, machine: &Machine, outbox: Option<&Arc<Outbox>>) -> anyhow::Result<Routes> {
    let mut senders: BTreeMap<&str, Arc<dyn Sender>> = BTreeMap::new();
    for (name, sender) in &settings.senders {
        senders.insert(name, make_sender(sender, machine, outbox).with_context(|| format!("cannot make senders.{name}"))?);
    }
    senders.extend(machine.senders.iter().map(|(name, sender)| (name.as_str(), sender.clone())));
    let route = |name: &String| Some(Route { name: name.clone(), sender: senders.get(name.as_str())?.clone() });
    Ok(settings.routes.iter().map(|(channel, names)| (*channel, names.iter().filter_map(route).collect())).collect())
}

fn make_sender(settings: &SenderSettings, machine: &Machine, outbox: Option<&Arc<Outbox>>) -> anyhow::Result<Arc<dyn Sender>> {
    Ok(match settings {
        SenderSettings::Smtp(smtp) => Arc::new(Smtp::new(smtp_settings(smtp)?)?),
        SenderSettings::Console => Arc::new(Console),
        SenderSettings::Outbox => {
            let outbox = outbox.context("the outbox exists in the development profile only")?.clone();
            Arc::new(OutboxSender { outbox, clock: machine.clock.clone() })
        }
    })
}

/// The settings of the sender, with its password read.
pub(super) fn smtp_settings(settings: &config::SmtpSettings) -> anyhow::Result<SmtpSettings> {
    let password = settings.password_file.as_ref().map(|file| {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        anyhow::Ok(SecretText::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    });
    Ok(SmtpSettings {
        host: settings.host.clone(),
        port: settings.port,
        from: settings.from.clone(),
        tls: match settings.tls {
            config::SmtpTls::None => SmtpTls::None,
            config::SmtpTls::Starttls => SmtpTls::StartTls,
            config::SmtpTls::Implicit => SmtpTls::Implicit,
        },
        credentials: settings.username.clone().zip(password.transpose()?),
        ca_file: settings.ca_file.clone(),
        timeout: settings.timeout,
        pool_max: settings.pool_max,
        hello_name: settings.hello_name.clone(),
    })
}
