//! Makes the parts of an app from its settings.

use std::{num::NonZeroU32, os::unix::fs::DirBuilderExt as _, sync::Arc};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{App, Listeners, Machine, callbacks, senders::routes, stores};
use crate::{
    config::{self, Profile, Settings, TenantSettings},
    domain::{
        caller::{Caller, Role, Roles, api_key_hash},
        ids::{ActionName, CallerName, TenantId},
        limit::spend::Spend,
        recipient::rules::NumberRules,
        verification::rules::EntryMode,
    },
    grpc::entrance::callers::{Credential, ShieldRate},
    keys,
    message::{Messages, SmsRules, TenantWording, Wording},
    ports::sender::{outbox::Outbox, receipts},
    service::{
        Parts, Service,
        delivery::{breakers::BreakerSettings, hands::Hands, hook::HookRule},
        limit,
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
        make_data_dir(&settings.data_dir)?;
        let development = settings.profile == Profile::Development;
        let keyring = Arc::new(keys::load(&settings)?);
        let (clock, entropy) = (machine.clock.clone(), machine.entropy.clone());
        let store = match &machine.store {
            Some(store) => store.clone(),
            None => stores::open(&settings, &machine).await?,
        };
        let outbox = development.then(Arc::<Outbox>::default);
        let (receipts, receipt_queue) = receipts::queue();
        let routes = routes(&settings, &machine, (outbox.as_ref(), &receipts))?;
        let (hands, jobs) = Hands::new(settings.worker.concurrency);
        let (drains, approvals) = limit::drains();
        let parts = Parts {
            store,
            clock,
            entropy,
            keyring,
            policy: policy(&settings),
            routes,
            breaker: breaker(settings.breaker),
            messages: Arc::new(messages(&settings)?),
            hands: hands.clone(),
            hook: hook_rule(&settings, &machine)?,
            drains,
            store_deadline: settings.store.deadline,
            send_deadline: settings.worker.send_deadline,
            link_page: settings.link_page(),
        };
        let service = Arc::new(Service::new(parts));
        let worker = Worker {
            service: service.clone(),
            hands,
            jobs,
            receipts: receipt_queue,
            approvals,
            poll: settings.worker.poll,
        };
        let (credentials, development_key) = credentials(&settings)?;
        let listeners = Listeners {
            grpc: bind(settings.grpc.listen, "grpc.listen").await?,
            http: bind(settings.http.listen, "http.listen").await?,
            admin: bind(settings.admin.listen, "admin.listen").await?,
        };
        if !settings.test_recipients.is_empty() {
            let count = settings.test_recipients.len();
            tracing::warn!(
                test_recipients = count,
                "Test recipients get no message, and their codes are in the settings."
            );
        }
        let (metrics, shutdown) = (telemetry::metrics(), CancellationToken::new());
        Ok(Self {
            receivers: callbacks::receivers(&settings)?,
            settings,
            machine,
            service,
            worker,
            receipts,
            credentials,
            outbox,
            listeners,
            metrics,
            shutdown,
            development_key,
        })
    }

    /// The shield of each caller.
    pub(super) fn shield(&self) -> ShieldRate {
        let positive = |number: u32| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let shield = &self.settings.shield;
        ShieldRate {
            calls_per_s: positive(shield.calls_per_s),
            burst: positive(shield.burst),
        }
    }
}

fn hook_rule(settings: &Settings, machine: &Machine) -> anyhow::Result<Option<HookRule>> {
    let made = settings
        .hook
        .as_ref()
        .map(|hook| super::hook::hook(hook, settings.profile, &machine.clock));
    made.transpose().context("cannot make the hook")
}

fn make_data_dir(path: &std::path::Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.with_context(|| format!("cannot make the data directory {}", path.display()))
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {key} = {address}"))
}

fn policy(settings: &Settings) -> Policy {
    let action = |settings: &config::ActionSettings| Action {
        limits: settings.limits.clone(),
        binding: settings.binding.clone(),
        quota_fallback: settings.quota_fallback,
    };
    Policy {
        actions: settings
            .actions
            .iter()
            .map(|(name, rules)| (name.clone(), action(rules)))
            .collect(),
        subject: settings.subject.clone(),
        quotas: settings.admission.quotas.clone(),
        guard: settings.admission.guard.clone(),
        numbers: number_rules(settings),
        spend: spend(settings),
        test_recipients: settings.test_recipients.clone(),
    }
}

/// Is the code of an SMS never typed in a browser or an app? The link of a mail is no code.
fn by_keypad((_, action): &(&ActionName, &config::ActionSettings)) -> bool {
    action.limits.entry_modes.iter().all(|mode| match mode {
        EntryMode::Portal | EntryMode::App => false,
        EntryMode::IvrKeypad | EntryMode::Link => true,
    })
}

fn wording(tenant: &TenantSettings) -> TenantWording<'_> {
    TenantWording {
        brand: tenant.brand.as_deref(),
        web_host: tenant.web_host.as_deref(),
    }
}

fn number_rules(settings: &Settings) -> NumberRules {
    let own = |(tenant, own): (&TenantId, &TenantSettings)| {
        Some((tenant.clone(), own.countries.clone()?))
    };
    NumberRules {
        countries: settings.admission.countries.clone(),
        by_tenant: settings.tenants.iter().filter_map(own).collect(),
        types: settings.admission.numbers.types.clone(),
        fixed_line_text: settings.admission.numbers.fixed_line_text,
    }
}

fn spend(settings: &Settings) -> Spend {
    let own = |(tenant, own): (&TenantId, &TenantSettings)| Some((tenant.clone(), own.spend?));
    Spend {
        by_tenant: settings.tenants.iter().filter_map(own).collect(),
        ..settings.admission.spend.clone()
    }
}

fn breaker(settings: config::BreakerSettings) -> BreakerSettings {
    let config::BreakerSettings {
        failures,
        open,
        open_max,
    } = settings;
    BreakerSettings {
        failures,
        open,
        open_max,
    }
}

pub(super) fn messages(settings: &Settings) -> anyhow::Result<Messages> {
    let messages = &settings.messages;
    let wording = Wording {
        templates_dir: messages.templates_dir.as_deref(),
        default_language: &messages.default_language,
        brand: &messages.brand,
        sms: SmsRules {
            web_host: messages.web_host.clone(),
            web_embedded_host: messages.web_embedded_host.clone(),
            android_hash: messages.android_hash.clone(),
            segments_max: messages.sms_segments_max,
            ucs2: messages.sms_ucs2,
        },
        actions: settings.actions.keys().cloned().collect(),
        by_keypad: settings
            .actions
            .iter()
            .filter(by_keypad)
            .map(|(name, _)| name.clone())
            .collect(),
        tenants: settings
            .tenants
            .iter()
            .map(|(name, tenant)| (name.clone(), wording(tenant)))
            .collect(),
    };
    Messages::load(&wording).map_err(|mistakes| {
        let lines: Vec<String> = mistakes
            .iter()
            .map(|mistake| format!("  {mistake}"))
            .collect();
        anyhow::anyhow!(
            "{} mistake(s) in the message templates:\n{}",
            lines.len(),
            lines.join("\n")
        )
    })
}

/// The callers of the settings, and in development one more that may do everything.
fn credentials(settings: &Settings) -> anyhow::Result<(Vec<Credential>, Option<String>)> {
    let mut credentials: Vec<_> = settings
        .callers
        .iter()
        .map(|(name, caller)| Credential {
            caller: Caller {
                name: name.clone(),
                tenant: caller.tenant.clone(),
                roles: caller.roles.clone(),
            },
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
            tenant: TenantId::parse(config::DEVELOPMENT_TENANT)?,
            roles: Roles::new(Role::ALL.to_vec()),
        },
        key_sha256: api_key_hash(&key),
    });
    Ok((credentials, Some(key)))
}
