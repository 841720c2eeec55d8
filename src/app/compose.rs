//! Builds the parts of an app from its settings.

use std::{os::unix::fs::DirBuilderExt as _, sync::Arc};

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    App, Listeners, Machine,
    certificates::Certificates,
    senders::{hook, routes, sender_parts, told},
    stores,
};
use crate::{
    config::{self, Profile, Settings, TenantSettings},
    domain::{
        caller::{Caller, Role, Roles, api_key_hash},
        ids::{CallerName, TenantId},
        verification::rules::EntryMode,
    },
    grpc::entrance::callers::Credential,
    keys,
    message::{Messages, TemplateMistake, TenantWording, Wording},
    ports::sender::{outbox::Outbox, receipts},
    service::{
        Parts, Service,
        delivery::{hands::Hands, hook::HookRule},
        limit,
        policy::{Action, Policy},
    },
    telemetry,
    worker::Worker,
};

impl App {
    /// Builds all parts and binds the listeners.
    ///
    /// # Errors
    /// Names the part that could not be built, and why.
    pub async fn build(settings: Settings, machine: Machine) -> anyhow::Result<Self> {
        // First: what a part says of itself while it is built would be lost.
        let metrics = telemetry::metrics();
        make_data_dir(&settings.data_dir)?;
        let keyring = Arc::new(keys::load(&settings)?);
        let (clock, entropy) = (machine.clock.clone(), machine.entropy.clone());
        let store = match &machine.store {
            Some(store) => store.clone(),
            None => stores::open(&settings, &machine).await?,
        };
        let outbox = (settings.profile == Profile::Development).then(Arc::<Outbox>::default);
        let (receipts, receipt_queue) = receipts::queue();
        let parts = sender_parts(&machine, outbox.clone(), receipts.clone());
        let routes = routes(&settings, &machine, &parts)?;
        let (hands, jobs) = Hands::with_slots(settings.hand_limits(), routes.slots());
        let (returns, approvals) = limit::return_queue();
        let parts = Parts {
            store,
            clock,
            entropy,
            keyring,
            policy: policy(&settings),
            routes,
            breaker: settings.breaker,
            messages: Arc::new(messages(&settings).map_err(|flaws| template_error(&flaws))?),
            hands: hands.clone(),
            hook: hook_rule(&settings, &machine)?,
            returns,
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
        let certificates = Certificates::new(&settings)?;
        let listeners = listeners(&settings).await?;
        warn_of_test_recipients(&settings);
        Ok(Self {
            settings,
            machine,
            service,
            worker,
            receipts,
            credentials,
            outbox,
            listeners,
            certificates,
            metrics,
            shutdown: CancellationToken::new(),
            development_key,
        })
    }
}

fn hook_rule(settings: &Settings, machine: &Machine) -> anyhow::Result<Option<HookRule>> {
    let Some(rule) = &settings.hook else {
        return Ok(None);
    };
    let built = hook(rule, machine).map_err(|error| told(&error));
    built.map(Some).context("cannot build the hook")
}

fn make_data_dir(path: &std::path::Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.with_context(|| format!("cannot make the data directory {}", path.display()))
}

fn warn_of_test_recipients(settings: &Settings) {
    let count = settings.test_recipients.len();
    if count > 0 {
        tracing::warn!(
            count,
            "test recipients get no messages; their codes are in the settings"
        );
    }
}

async fn listeners(settings: &Settings) -> anyhow::Result<Listeners> {
    Ok(Listeners {
        grpc: bind(settings.grpc.listener.listen, "grpc.listen").await?,
        http: bind(settings.http.listener.listen, "http.listen").await?,
        admin: bind(settings.admin.listener.listen, "admin.listen").await?,
    })
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {key} = {address}"))
}

fn policy(settings: &Settings) -> Policy {
    let admission = &settings.admission;
    Policy {
        actions: settings.actions.clone(),
        subject: settings.subject.clone(),
        guesses: admission.guesses.clone(),
        quotas: admission.quotas.clone(),
        guard: admission.guard.clone(),
        numbers: admission.numbers.clone(),
        spend: admission.spend.clone(),
        test_recipients: settings.test_recipients.clone(),
        events_max_per_shard: settings.events_max_per_shard,
    }
}

/// Whether the code in an SMS is never typed in a browser or app. The link in an e-mail is not a code.
fn is_by_keypad(action: &Action) -> bool {
    action.limits.entry_modes.iter().all(|mode| match mode {
        EntryMode::Portal | EntryMode::App => false,
        EntryMode::IvrKeypad | EntryMode::Link => true,
    })
}

fn wording(tenant: &TenantSettings) -> TenantWording<'_> {
    TenantWording {
        brand: tenant.brand.as_deref(),
        default_language: tenant.default_language.as_deref(),
        web_host: tenant.web_host.as_deref(),
    }
}

/// Loads the message templates; fails with all mistakes in them.
pub(super) fn messages(settings: &Settings) -> Result<Messages, Vec<TemplateMistake>> {
    let messages = &settings.messages;
    let by_keypad = settings
        .actions
        .iter()
        .filter(|(_, action)| is_by_keypad(action))
        .map(|(name, _)| name.clone());
    let bound = settings.actions.values().flat_map(|action| &action.binding);
    Messages::load(&Wording {
        templates_dir: messages.templates_dir.as_deref(),
        default_language: &messages.default_language,
        brand: &messages.brand,
        sms: messages.sms.clone(),
        actions: settings.actions.keys().cloned().collect(),
        titles: messages.titles.clone(),
        labels: messages.labels.clone(),
        bound: bound.cloned().collect(),
        by_keypad: by_keypad.collect(),
        tenants: settings
            .tenants
            .iter()
            .map(|(name, tenant)| (name.clone(), wording(tenant)))
            .collect(),
    })
}

fn template_error(flaws: &[TemplateMistake]) -> anyhow::Error {
    let lines: Vec<String> = flaws.iter().map(|flaw| format!("\n  {flaw}")).collect();
    anyhow::anyhow!("mistakes in the message templates:{}", lines.concat())
}

/// The callers of the settings; in development also one with all roles, and its API key.
fn credentials(settings: &Settings) -> anyhow::Result<(Vec<Credential>, Option<String>)> {
    let mut credentials = settings.callers.clone();
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
        keys_sha256: vec![api_key_hash(&key)],
    });
    Ok((credentials, Some(key)))
}
