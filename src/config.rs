//! Settings: embedded defaults, one file, and environment variables; all mistakes are reported together.
//!
//! Each table is read into the type that its user takes: a sender's own settings, the rules of the domain, the
//! options of the store. So this module sees the settings types of all layers, and none of them sees this module.

mod access;
mod actions;
mod admission;
mod hook;
mod layers;
mod listeners;
mod messages;
mod public_url;
mod reader;
mod routes;
mod running;
mod secret_file;
mod senders;
mod store;
mod tenants;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use config::{Map, Value};

use crate::{
    domain::{
        ids::{ActionName, TenantId},
        recipient::test_recipients::TestRecipients,
        verification::rules::{EntryMode, SubjectRules},
    },
    grpc::entrance::callers::{Credential, ShieldRate},
    service::{
        delivery::{breakers::BreakerSettings, hands::HandLimits},
        policy::Action,
    },
};

pub use access::{API_KEY_PREFIX, DEVELOPMENT_CALLER, DEVELOPMENT_TENANT, KeySettings, RingEntry};
pub use admission::AdmissionSettings;
pub use hook::HookSettings;
pub use listeners::{AdminSettings, GrpcSettings, HttpSettings, reread};
pub use messages::MessageSettings;
pub use reader::book::{Mistake, Mistakes};
pub use routes::{ChannelRoutes, RouteSettings};
pub use running::{LogFormat, LogSettings, WorkerSettings};
pub use secret_file::{Flaw, SecretFileError, read_document, read_line};
pub use senders::ConfiguredSender;
pub use store::{StoreEngine, StoreSettings};
pub use tenants::TenantSettings;

use layers::{PROFILE, layered, of_environment, unreadable, with_development};
use reader::{Table, book::Book};
use routes::RouteContext;
use tenants::TenantContext;

/// The purpose for which the service runs; decides which settings are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Trying it on one machine: listens on loopback only, generates missing keys.
    Development,
    /// Serving customers: generates nothing, and refuses unsafe settings.
    Production,
}

impl Profile {
    const NAMES: [(&'static str, Self); 2] = [
        ("development", Self::Development),
        ("production", Self::Production),
    ];
}

/// All settings. Those returned by [`load`] have no mistakes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The purpose for which the service runs.
    pub profile: Profile,
    /// The directory of the embedded database, the generation file and generated keys.
    pub data_dir: PathBuf,
    /// The listener for callers.
    pub grpc: GrpcSettings,
    /// The listener for pages and for the callbacks of providers.
    pub http: HttpSettings,
    /// The listener for operators.
    pub admin: AdminSettings,
    /// The store of records, events and quotas.
    pub store: StoreSettings,
    /// The files of the keys that encrypt records and derive codes.
    pub keys: KeySettings,
    /// The callers, each with its tenant, its roles and the hash of its API key.
    pub callers: Vec<Credential>,
    /// The tenants of all callers, each with its own settings.
    pub tenants: BTreeMap<TenantId, TenantSettings>,
    /// How often each caller may call this process.
    pub shield: ShieldRate,
    /// The senders by name.
    pub senders: BTreeMap<String, ConfiguredSender>,
    /// The senders of each channel, for tenants without their own routes.
    pub routes: ChannelRoutes,
    /// When a failing sender is skipped, and for how long.
    pub breaker: BreakerSettings,
    /// What customers approve, each with its rules.
    pub actions: BTreeMap<ActionName, Action>,
    /// The rules for a subject, over all actions.
    pub subject: SubjectRules,
    /// The most entries of the audit trail that each shard keeps; `None` for an equal share of a million.
    pub events_max_per_shard: Option<u64>,
    /// The rules that decide whether a message may be sent at all.
    pub admission: AdmissionSettings,
    /// Recipients that get no message and have known codes; empty in production.
    pub test_recipients: TestRecipients,
    /// The operator's check before each message is sent; `None` for no check.
    pub hook: Option<HookSettings>,
    /// The tasks that send messages and do due work.
    pub worker: WorkerSettings,
    /// The texts of messages.
    pub messages: MessageSettings,
    /// The log of the process.
    pub log: LogSettings,
    effective: String,
}

impl Settings {
    /// The settings in effect, as TOML with secrets masked.
    #[must_use]
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// The name of the caller that the development profile adds; `None` in production.
    #[must_use]
    pub fn development_caller(&self) -> Option<&'static str> {
        (self.profile == Profile::Development).then_some(DEVELOPMENT_CALLER)
    }

    /// Settings that are permitted but look wrong, each with the path of its key.
    #[must_use]
    pub fn warnings(&self) -> Vec<Mistake> {
        let mut warnings = access::idle_callers(&self.callers);
        warnings.extend(senders::warnings(&self.senders));
        warnings.extend(senders::idle(self));
        warnings.extend(public_url::warning(self));
        warnings.extend(listeners::warning(self));
        warnings
    }

    /// The hands of a process, shared between the tenants that have callers.
    #[must_use]
    pub fn hand_limits(&self) -> HandLimits {
        let tenants = self.callers.iter().map(|known| &known.caller.tenant);
        let tenants: BTreeSet<_> = tenants.collect();
        let development = usize::from(self.profile == Profile::Development);
        self.worker.hands(tenants.len() + development)
    }

    /// The URL of the page that links in e-mails open; `None` if no action has links.
    #[must_use]
    pub fn link_page(&self) -> Option<String> {
        let has_links = self
            .actions
            .values()
            .any(|action| action.limits.entry_modes.contains(&EntryMode::Link));
        let url = self.http.public_url.as_ref().filter(|_| has_links)?;
        Some(format!("{url}/link"))
    }
}

/// Reads the settings from the defaults, the file, the environment variables that begin with `COUNTERSIGN__`, and the
/// secret files that they name.
///
/// # Errors
/// All mistakes, each with the path of its key.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> Result<Settings, Mistakes> {
    match read(file, env) {
        (Some(settings), mistakes) if mistakes.0.is_empty() => Ok(settings),
        (_, mistakes) => Err(mistakes),
    }
}

/// As [`load`], but also returns the settings as far as they could be read, so that the caller can check more and
/// report everything together. A section with a mistake is incomplete: do not build anything from it.
pub fn read(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
) -> (Option<Settings>, Mistakes) {
    let (env, misspelled) = of_environment(env);
    let mut mistakes = Mistakes::default();
    mistakes.add(misspelled);
    let layers = match layered(file, &env) {
        Ok(layers) => layers,
        Err(error) => {
            mistakes.add([Mistake {
                key: String::new(),
                what: unreadable(file, &error),
            }]);
            return (None, mistakes);
        }
    };
    let (settings, found) = of_layers(layers);
    mistakes.add(found);
    if mistakes.concern(PROFILE)
        && let Ok(development) = with_development(file, &env)
    {
        // Which profile is meant is unknown, so only what both refuse is a mistake.
        let (_, also) = of_layers((Profile::Development, development));
        mistakes.0.retain(|mistake| also.contains(mistake));
    }
    (Some(settings), mistakes)
}

fn of_layers((profile, values): (Profile, Map<String, Value>)) -> (Settings, Vec<Mistake>) {
    let book = Book::new(profile);
    let settings = tables(Table::root(values, &book), &book);
    let effective = book.effective();
    let settings = Settings {
        effective,
        ..settings
    };
    (settings, book.into_mistakes())
}

/// Stands for a public URL that has a mistake; nothing is built from it.
const UNKNOWN_URL: &str = "https://unknown.invalid";

/// Reads every table. What cannot be read gets a default, and its mistake is in the book.
fn tables(mut root: Table<'_>, book: &Book) -> Settings {
    root.required_word(PROFILE, &Profile::NAMES);
    let data_dir = root.required("data_dir").map(PathBuf::from);
    let data_dir = data_dir.unwrap_or_default();
    let grpc = GrpcSettings::read(root.table("grpc"));
    let http = HttpSettings::read(root.table("http"));
    // What needs the URL is no mistake of its own if the URL is one.
    let is_mistaken = book.is_unknown("http.public_url");
    let public_url = http.public_url.as_deref();
    let public_url = public_url.or(is_mistaken.then_some(UNKNOWN_URL));
    let callers = access::callers(root.table("callers"));
    let mut admission = AdmissionSettings::read(&mut root);
    let senders = senders::senders(root.table("senders"), public_url);
    let worker = WorkerSettings::read(root.table("worker"));
    let route_context = RouteContext {
        senders: &senders,
        send_deadline: worker.send_deadline,
    };
    let routes = routes::routes(root.table("routes"), route_context);
    let context = TenantContext {
        callers: &callers,
        route_context,
        routes: &routes,
    };
    let tenants = tenants::tenants(root.table("tenants"), &context, &mut admission);
    let actions::Actions {
        rules: actions,
        titles,
    } = actions::actions(root.table("actions"), &routes, public_url.is_some());
    let test_recipients =
        admission::numbers::test_recipients(root.table("test_recipients"), &actions);
    let settings = Settings {
        profile: book.profile(),
        admin: AdminSettings::read(root.table("admin")),
        store: StoreSettings::read(root.table("store"), &data_dir),
        keys: KeySettings::read(root.table("keys"), &data_dir),
        shield: access::shield(root.table("shield")),
        breaker: routes::breaker(root.table("breaker")),
        subject: running::subject(root.table("subject")),
        events_max_per_shard: running::events(root.table("events")),
        hook: hook::hook(root.table("hook")),
        messages: MessageSettings::read(root.table("messages"), root.table("labels"), titles),
        log: LogSettings::read(root.table("log")),
        senders: senders.ready,
        data_dir,
        grpc,
        http,
        callers,
        tenants,
        routes,
        actions,
        admission,
        test_recipients,
        worker,
        effective: String::new(),
    };
    root.finish();
    listeners::check_ports(&settings, book);
    if settings.profile == Profile::Production {
        check_production(&settings, book);
    }
    settings
}

/// Checks what production requires and no single table can check.
fn check_production(settings: &Settings, book: &Book) {
    let has_callers = !settings.callers.is_empty() || book.is_mistaken_within("callers");
    if !has_callers {
        book.mistake("callers", "is empty; production needs at least one caller");
    }
    if settings.actions.is_empty() && !book.is_mistaken_within("actions") {
        let what = "is empty, so nothing can be started; production needs at least one action";
        book.mistake("actions", what);
    }
    let numbers = &settings.admission.numbers;
    let allows_a_country = !numbers.countries.is_empty()
        || numbers
            .by_tenant
            .values()
            .any(|countries| !countries.is_empty());
    let reaches_numbers = settings
        .routes
        .keys()
        .any(|channel| channel.reaches_numbers());
    if reaches_numbers && !allows_a_country && !book.is_mistaken("countries.allowed") {
        book.mistake(
            "countries.allowed",
            "is empty, so no number gets a message; name the countries of your customers",
        );
    }
}

#[cfg(test)]
mod tests;
