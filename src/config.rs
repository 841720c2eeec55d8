//! Settings: embedded defaults, one file, the environment; every mistake in one report.

mod access;
mod actions;
mod admission;
mod hook;
mod listeners;
mod messages;
mod reader;
mod routes;
mod running;
mod senders;
mod store;
mod tenants;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use config::{Config, Environment, File, FileFormat, Map, Value};

use crate::domain::{
    ids::{ActionName, CallerName, TenantId},
    recipient::{number::Country, test_recipients::TestRecipients},
    verification::rules::{EntryMode, SubjectRules},
};

pub use access::{
    CallerSettings, DEVELOPMENT_CALLER, DEVELOPMENT_TENANT, KeySettings, RingEntry, ShieldSettings,
};
pub use actions::ActionSettings;
pub use admission::AdmissionSettings;
pub use admission::numbers::NumberSettings;
pub use hook::{HookKind, HookSettings};
pub use listeners::{AdminSettings, GrpcSettings, HttpSettings, TlsFiles};
pub use messages::MessageSettings;
pub use reader::book::{Mistake, Mistakes};
pub use routes::{BreakerSettings, ChannelRoutes, RouteSettings};
pub use running::{LogFormat, LogSettings, WorkerSettings};
pub use senders::{
    ApnsSender, Connection, DkimSettings, FcmSender, HttpAnswers, HttpAuth, HttpBody, HttpMethod,
    HttpRequest, HttpSender, PluginSender, Receipts, SenderSettings, SmppSender, SmtpSettings,
    SmtpTls, SnsSender, WebPushSender, WebhookSender,
};
pub use store::{RedisKeys, StoreSettings};
pub use tenants::TenantSettings;

use reader::Table;
use reader::book::Book;
use tenants::Usual;

const DEFAULT: &str = include_str!("config/default.toml");
const DEVELOPMENT: &str = include_str!("config/development.toml");

/// What the service is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// To try it out: loopback only.
    Development,
    /// For real.
    Production,
}

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the service is run for.
    pub profile: Profile,
    /// Where development keys, the database and the generation file are.
    pub data_dir: PathBuf,
    /// The callers' listener.
    pub grpc: GrpcSettings,
    /// The listener for pages.
    pub http: HttpSettings,
    /// The operators' listener.
    pub admin: AdminSettings,
    /// The store.
    pub store: StoreSettings,
    /// The key files.
    pub keys: KeySettings,
    /// Who may call.
    pub callers: BTreeMap<CallerName, CallerSettings>,
    /// Every tenant that a caller has, and what it has of its own.
    pub tenants: BTreeMap<TenantId, TenantSettings>,
    /// How often each caller may.
    pub shield: ShieldSettings,
    /// Who brings messages.
    pub senders: BTreeMap<String, SenderSettings>,
    /// Which senders a channel has.
    pub routes: ChannelRoutes,
    /// When a sender is left alone for a while.
    pub breaker: BreakerSettings,
    /// What may be proven.
    pub actions: BTreeMap<ActionName, ActionSettings>,
    /// For every subject.
    pub subject: SubjectRules,
    /// What decides whether a message may be sent at all.
    pub admission: AdmissionSettings,
    /// Who gets no message and has a code that is known beforehand; nobody in production.
    pub test_recipients: TestRecipients,
    /// Who may stop a message just before it goes out.
    pub hook: Option<HookSettings>,
    /// Who hands messages over.
    pub worker: WorkerSettings,
    /// The texts.
    pub messages: MessageSettings,
    /// Logs.
    pub log: LogSettings,
    effective: String,
}

impl Settings {
    /// The settings as they hold, as TOML with secrets masked.
    #[must_use]
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// The name of the caller that the development profile adds; none in production.
    #[must_use]
    pub fn development_caller(&self) -> Option<&'static str> {
        (self.profile == Profile::Development).then_some(DEVELOPMENT_CALLER)
    }

    /// What is permitted and still looks wrong, with the path of its key.
    #[must_use]
    pub fn warnings(&self) -> Vec<Mistake> {
        access::idle_callers(&self.callers)
    }

    /// The address of the page that links of mails open; none if no action has links.
    #[must_use]
    pub fn link_page(&self) -> Option<String> {
        let has_links = self
            .actions
            .values()
            .any(|action| action.limits.entry_modes.contains(&EntryMode::Link));
        self.http
            .public_url
            .as_ref()
            .filter(|_| has_links)
            .map(|url| format!("{url}/link"))
    }
}

/// Reads the settings from the defaults, the file, and those variables that begin with `COUNTERSIGN__`.
///
/// # Errors
/// Every mistake, with the path of its key.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    let env: Map<String, String> = env
        .filter(|(key, _)| key.starts_with("COUNTERSIGN__"))
        .collect();
    let values = layered(file, &env).map_err(|error| {
        Mistakes(vec![Mistake {
            key: String::new(),
            what: error.to_string(),
        }])
    })?;
    let book = Book::default();
    let settings = read(Table::root(values, &book), &book);
    let effective = book.effective();
    let mut mistakes = book.into_mistakes();
    match settings {
        Some(settings) if mistakes.is_empty() => Ok(Settings {
            effective,
            ..settings
        }),
        _ => {
            mistakes.sort_by(|one, other| one.key.cmp(&other.key));
            Err(Mistakes(mistakes))
        }
    }
}

/// The layers in one table. The development profile has a layer of its own between the defaults and the file.
fn layered(
    file: Option<&Path>,
    env: &Map<String, String>,
) -> Result<Map<String, Value>, config::ConfigError> {
    let merged = |development: bool| {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULT, FileFormat::Toml));
        if development {
            builder = builder.add_source(File::from_str(DEVELOPMENT, FileFormat::Toml));
        }
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        let source = Environment::with_prefix("COUNTERSIGN")
            .prefix_separator("__")
            .separator("__")
            .source(Some(env.clone()));
        builder.add_source(source).build()
    };
    let plain = merged(false)?;
    let is_development = plain
        .get_string("profile")
        .is_ok_and(|profile| profile == "development");
    let config = if is_development { merged(true)? } else { plain };
    config.cache.into_table()
}

fn read(mut root: Table<'_>, book: &Book) -> Option<Settings> {
    let profile = root.word(
        "profile",
        &[
            ("development", Profile::Development),
            ("production", Profile::Production),
        ],
        Profile::Production,
    );
    let data_dir = root.parsed("data_dir", |text| Ok::<_, String>(PathBuf::from(text)));
    let grpc = GrpcSettings::read(root.table("grpc"), profile);
    let http = HttpSettings::read(root.table("http"), profile);
    let admin = AdminSettings::read(root.table("admin"), profile);
    let data_dir = data_dir.unwrap_or_default();
    let store = StoreSettings::read(root.table("store"), profile, &data_dir);
    let keys = KeySettings::read(root.table("keys"), profile, &data_dir);
    let callers = access::callers(root.table("callers"), profile);
    let admission = AdmissionSettings::read(&mut root);
    let shield = ShieldSettings::read(root.table("shield"));
    let public = http.as_ref().is_some_and(|http| http.public_url.is_some());
    let senders = senders::senders(root.table("senders"), profile, public);
    let worker = WorkerSettings::read(root.table("worker"));
    let means = routes::Means {
        senders: &senders,
        send_deadline: worker.send_deadline,
    };
    let routes = routes::routes(root.table("routes"), means, profile);
    let usual = Usual {
        spend: &admission.spend,
        means,
        routes: &routes,
    };
    let tenants = tenants::tenants(root.table("tenants"), (&callers, profile), &usual);
    let breaker = BreakerSettings::read(root.table("breaker"));
    let actions = actions::actions(root.table("actions"), &routes, public);
    let subject = running::subject(root.table("subject"));
    let test_recipients =
        admission::numbers::test_recipients(root.table("test_recipients"), &actions, profile);
    let hook = hook::hook(root.table("hook"));
    let messages = MessageSettings::read(root.table("messages"));
    let log = LogSettings::read(root.table("log"));
    if profile == Profile::Production {
        if callers.is_empty() {
            book.mistake("callers", "must name at least one caller in production");
        }
        if no_number_gets_a_message(&admission.countries, &tenants)
            && routes.keys().any(|channel| channel.reaches_numbers())
        {
            book.mistake(
                "countries.allowed",
                "must name a country in production: without one no number gets a message",
            );
        }
    }
    root.finish();
    Some(Settings {
        profile,
        data_dir,
        grpc: grpc?,
        http: http?,
        admin: admin?,
        store: store?,
        keys: keys?,
        callers,
        tenants,
        shield,
        senders,
        routes,
        breaker,
        actions,
        subject,
        admission,
        test_recipients,
        hook,
        worker,
        messages,
        log,
        effective: String::new(),
    })
}

fn no_number_gets_a_message(
    countries: &BTreeSet<Country>,
    tenants: &BTreeMap<TenantId, TenantSettings>,
) -> bool {
    countries.is_empty()
        && tenants
            .values()
            .all(|own| own.countries.as_ref().is_none_or(BTreeSet::is_empty))
}

#[cfg(test)]
mod tests;
