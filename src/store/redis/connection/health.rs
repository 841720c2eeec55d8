//! Checks that each server keeps its data, is configured for it, and has the right time. A server that may lose data is
//! refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    domain::time::Timestamp,
    ports::store::{Complaint, url::Endpoint},
    store::redis::connection::identity::Identity,
};

/// Largest clock difference without a complaint. A difference relaxes no limit: the stricter clock decides.
const SKEW_MAX: Duration = Duration::from_secs(2);
/// Oldest version that has what the scripts need: sharded publish and script flags.
const VERSION_MIN: (u64, u64, u64) = (7, 0, 0);
/// Older versions have known vulnerabilities that let whoever may run scripts take over the server, unless the
/// distribution has fixed them.
const VERSION_SAFE: (u64, u64, u64) = (8, 6, 3);
/// The same for Valkey, which mends several series: the first safe version of each.
const VALKEY_SAFE: [(u64, u64, u64); 4] = [(7, 2, 12), (8, 0, 7), (8, 1, 6), (9, 0, 3)];
/// The module with which newer versions of Valkey run Lua scripts; without it the service cannot work.
const VALKEY_LUA: &str = "lua";
/// Longest lag of a replica that still counts as a safe copy, in seconds.
const LAG_MAX_S: u64 = 5;

/// The words of the conditions for which a start would be refused.
const UNFIT_WORDS: [&str; 6] = [
    "store_full",
    "right_missing",
    "writes_refused",
    "server_unfit",
    "replay_incomplete",
    "other_shards",
];

/// The present complaints about all servers, and whether the store may be used.
#[derive(Default)]
pub(in crate::store::redis) struct Health {
    found: Mutex<Found>,
    /// Notified when a server has evicted keys.
    pub(in crate::store::redis) evicted: Notify,
}

#[derive(Default)]
struct Found {
    /// Texts of complaints, by word and server.
    complaints: BTreeMap<(&'static str, String), String>,
    /// Servers whose settings allow them to evict keys.
    evicting: BTreeSet<String>,
    /// Why a start would be refused now; empty if it would not.
    unfit: String,
    /// Number of keys evicted so far, by run id: a restarted server counts from 0.
    evicted_keys: BTreeMap<String, u64>,
}

impl Health {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what a server reports about itself, and updates the complaints.
    pub(in crate::store::redis) fn update(
        &self,
        at: &Endpoint,
        identity: &Identity,
        ours: Timestamp,
    ) {
        let skew = identity.skew(ours);
        metrics::gauge!("countersign_redis_clock_skew_seconds").set(skew.as_secs_f64());
        let late = (skew > SKEW_MAX).then(|| {
            format!(
                "the clock of {at} is {} ms from ours; set both by NTP",
                skew.as_millis()
            )
        });
        self.complain("clock_skew", at, late);
        let may_evict = may_evict(identity);
        let policy = may_evict.then(|| {
            format!(
                "{at} has maxmemory-policy {}; it must be noeviction",
                identity.get("maxmemory_policy")
            )
        });
        self.complain("eviction_policy", at, policy);
        let (mut found, evicted_keys) = (self.found(), identity.number("evicted_keys"));
        if may_evict {
            found.evicting.insert(at.to_string());
        } else {
            found.evicting.remove(&at.to_string());
        }
        let before = found
            .evicted_keys
            .insert(identity.get("run_id").to_owned(), evicted_keys);
        drop(found);
        if before.is_some_and(|before| evicted_keys > before) {
            tracing::error!(server = %at, evicted_keys, "redis evicted keys; failure counts may be lost");
            self.complain(
                "evicted",
                at,
                Some(format!(
                    "{at} evicted keys; for a day, the failure counts of new records start at half of their limit"
                )),
            );
            self.evicted.notify_one();
        }
    }

    /// Records for what a start would be refused now.
    pub(in crate::store::redis) fn set_unfit(&self, found: &[Complaint]) {
        for word in UNFIT_WORDS {
            let texts: Vec<&str> = found
                .iter()
                .filter(|complaint| complaint.word == word)
                .map(|complaint| complaint.text.as_str())
                .collect();
            let text = (!texts.is_empty()).then(|| texts.join("; "));
            self.complain(word, &"the store", text);
        }
        let first = found.first().map(|complaint| complaint.text.clone());
        self.found().unfit = first.unwrap_or_default();
    }

    /// Why a start would be refused now; `None` if it would not.
    pub(in crate::store::redis) fn unfit(&self) -> Option<String> {
        let found = self.found();
        (!found.unfit.is_empty()).then(|| found.unfit.clone())
    }

    /// Records how many replicas follow a master, and how many must acknowledge a durable commit.
    pub(in crate::store::redis) fn compare_replicas(
        &self,
        at: &Endpoint,
        identity: &Identity,
        wanted: u32,
    ) {
        let found = identity.number("connected_slaves");
        let text = (found < u64::from(wanted)).then(|| {
            format!(
                "{at} has {found} replicas, and store.wait_replicas demands {wanted}: no guess is judged"
            )
        });
        self.complain("no_acknowledgement", at, text);
    }

    /// Ends the complaints about the state of a server that is no longer used, such as a master after a failover.
    /// That it has evicted keys remains a complaint: the loss remains.
    pub(in crate::store::redis) fn forget(&self, at: &Endpoint) {
        for word in [
            "clock_skew",
            "eviction_policy",
            "too_few_replicas",
            "no_acknowledgement",
        ] {
            self.complain(word, at, None);
        }
        self.found().evicting.remove(&at.to_string());
    }

    /// Begins or ends a complaint. The beginning is logged.
    pub(in crate::store::redis) fn complain(
        &self,
        word: &'static str,
        about: &dyn std::fmt::Display,
        text: Option<String>,
    ) {
        let key = (word, about.to_string());
        let mut found = self.found();
        let begins = text
            .clone()
            .filter(|_| !found.complaints.contains_key(&key));
        match text {
            Some(text) => drop(found.complaints.insert(key, text)),
            None => drop(found.complaints.remove(&key)),
        }
        let count = found.complaints.keys().filter(|(w, _)| *w == word).count();
        drop(found);
        metrics::gauge!("countersign_store_complaints", "word" => word).set(count as f64);
        if let Some(text) = begins {
            tracing::error!(word, text = text.as_str(), "store degraded");
        }
    }

    /// The present complaints, for readiness and metrics.
    pub(in crate::store::redis) fn complaints(&self) -> Vec<Complaint> {
        let found = self.found();
        found
            .complaints
            .iter()
            .map(|((word, _), text)| Complaint {
                word,
                text: text.clone(),
            })
            .collect()
    }

    /// Why nothing may be written or judged now; `None` if all is well.
    pub(in crate::store::redis) fn refusal(&self) -> Option<String> {
        let found = self.found();
        let server = found.evicting.first()?;
        Some(format!("{server} may evict keys"))
    }
}

/// Whether the server evicts keys when memory is short, so that failure counts would disappear: its `maxmemory-policy`
/// is not `noeviction`. The memory limit does not matter, because it can be set later. A server that
/// reports no policy passes.
fn may_evict(identity: &Identity) -> bool {
    !matches!(identity.get("maxmemory_policy"), "noeviction" | "")
}

/// Why a server cannot be used; the start is then refused.
pub(in crate::store::redis) fn unfit(identity: &Identity) -> Vec<String> {
    let mut unfit = Vec::new();
    if may_evict(identity) {
        let policy = identity.get("maxmemory_policy");
        unfit.push(format!("maxmemory-policy is {policy}: set it to noeviction, or counters vanish when memory is short"));
    }
    if version(identity) < VERSION_MIN {
        unfit.push(format!(
            "{} is too old: it must be 7.0 or newer",
            product(identity)
        ));
    }
    unfit
}

/// Warnings about a server that can be used.
pub(in crate::store::redis) fn advice(identity: &Identity) -> Vec<Complaint> {
    let mut advice = Vec::new();
    let mut say = |word, text: String| advice.push(Complaint { word, text });
    say_of_version(identity, &mut say);
    let modules: Vec<&str> = identity
        .get("module")
        .split(',')
        .filter_map(|part| part.strip_prefix("name="))
        .filter(|name| !(identity.is_valkey() && *name == VALKEY_LUA))
        .collect();
    if !modules.is_empty() {
        say(
            "modules",
            format!(
                "a module is loaded ({}); none is needed, and each widens what an attacker can reach",
                modules.join(", ")
            ),
        );
    }
    if identity.get("aof_enabled") != "1" {
        say("no_aof", "appendonly is off: a restart forgets failure counts since the last snapshot, or all of them".to_owned());
    }
    let min_replicas = identity.get("min_slaves_good_slaves");
    if min_replicas.is_empty() && identity.get("redis_mode") != "cluster" {
        say(
            "no_min_replicas",
            "min-replicas-to-write is 0: a master that is cut off goes on alone until it is noticed".to_owned(),
        );
    }
    let lags = (0..16)
        .map(|n| identity.get(&format!("slave{n}")))
        .filter(|line| !line.is_empty());
    let worst = lags
        .filter_map(|line| {
            line.split(',')
                .find_map(|part| part.strip_prefix("lag="))?
                .parse()
                .ok()
        })
        .max();
    if worst > Some(LAG_MAX_S) {
        say(
            "lag",
            format!(
                "a replica lags {} s; at most {LAG_MAX_S} s may be lost in a failover",
                worst.unwrap_or_default()
            ),
        );
    }
    advice
}

fn say_of_version(identity: &Identity, say: &mut impl FnMut(&'static str, String)) {
    let version = version(identity);
    let (is_old, fixed) = if identity.is_valkey() {
        let series = |(major, minor, _): (u64, u64, u64)| (major, minor);
        let is_old = match VALKEY_SAFE
            .iter()
            .find(|safe| series(**safe) == series(version))
        {
            Some(safe) => version < *safe,
            // A series that is no longer mended, or one that began after these.
            None => version < VALKEY_SAFE[VALKEY_SAFE.len() - 1],
        };
        (is_old, "7.2.12, 8.0.7, 8.1.6, 9.0.3")
    } else {
        (version < VERSION_SAFE, "8.6.3")
    };
    if is_old {
        say(
            "old_version",
            format!(
                "{} may have known vulnerabilities; they are fixed in {fixed} and newer, or in an update of your distribution",
                product(identity)
            ),
        );
    }
}

/// The name and the version of the server, for a message.
fn product(identity: &Identity) -> String {
    let name = if identity.is_valkey() {
        "Valkey"
    } else {
        "Redis"
    };
    format!("{name} {}", identity.version())
}

/// The version as major, minor and patch; missing parts are 0.
pub(in crate::store::redis) fn version(identity: &Identity) -> (u64, u64, u64) {
    let mut parts = identity
        .version()
        .split('.')
        .map(|part| part.parse().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    (part(), part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Endpoint {
        Endpoint {
            host: "redis".to_owned(),
            port: 1,
        }
    }

    fn identity(policy: &str, evicted: &str) -> Identity {
        let fields = [
            ("run_id", "r"),
            ("maxmemory_policy", policy),
            ("evicted_keys", evicted),
            ("redis_version", "7.0.15"),
        ];
        Identity::of(&fields, Timestamp::from_micros(10_000_000))
    }

    fn words(health: &Health) -> Vec<&'static str> {
        health
            .complaints()
            .into_iter()
            .map(|complaint| complaint.word)
            .collect()
    }

    #[test]
    fn rf07_a_policy_that_evicts_is_unfit_and_closes_at_run_time() {
        assert!(unfit(&identity("allkeys-lru", "0"))[0].contains("noeviction"));
        assert_eq!(unfit(&identity("noeviction", "0")), Vec::<String>::new());
        let health = Health::default();
        let now = Timestamp::from_micros(10_000_000);
        health.update(&at(), &identity("noeviction", "0"), now);
        assert_eq!((health.refusal(), words(&health)), (None, vec![]));
        health.update(&at(), &identity("volatile-ttl", "0"), now);
        assert!(health.refusal().is_some());
        assert_eq!(words(&health), ["eviction_policy"]);
        health.update(&at(), &identity("noeviction", "0"), now);
        assert_eq!((health.refusal(), words(&health)), (None, vec![]));
    }

    #[tokio::test]
    async fn store_10_keys_thrown_away_are_noticed_once_they_are_more() {
        let health = Health::default();
        let now = Timestamp::from_micros(10_000_000);
        health.update(&at(), &identity("noeviction", "5"), now);
        assert_eq!(
            words(&health),
            Vec::<&str>::new(),
            "what was before us cannot be told"
        );
        health.update(&at(), &identity("noeviction", "6"), now);
        assert_eq!(words(&health), ["evicted"]);
        health.evicted.notified().await;
    }

    #[test]
    fn time_02_clocks_more_than_two_seconds_apart_are_complained_of() {
        let health = Health::default();
        for (ours_us, complained) in [
            (12_000_000, false),
            (12_000_001, true),
            (7_000_000, true),
            (10_000_000, false),
        ] {
            health.update(
                &at(),
                &identity("noeviction", "0"),
                Timestamp::from_micros(ours_us),
            );
            assert_eq!(
                words(&health).contains(&"clock_skew"),
                complained,
                "{ours_us}"
            );
        }
    }

    #[test]
    fn store_15_and_rf21_old_versions_are_named() {
        let of = |version| {
            Identity::of(
                &[("redis_version", version), ("aof_enabled", "1")],
                Timestamp::default(),
            )
        };
        let warned = |version| {
            advice(&of(version))
                .iter()
                .any(|complaint| complaint.word == "old_version")
        };
        assert!(warned("7.0.15") && warned("8.6.2") && !warned("8.6.3") && !warned("8.10.0"));
        assert!(!unfit(&of("6.2.14")).is_empty() && unfit(&of("7.0.0")).is_empty());
    }

    #[test]
    fn store_15_valkey_is_named_by_its_own_version_and_keeps_its_lua_module() {
        let of = |version, module| {
            let fields = [
                ("server_name", "valkey"),
                // What it is compatible with, and not what it is.
                ("redis_version", "7.2.4"),
                ("valkey_version", version),
                ("module", module),
                ("aof_enabled", "1"),
                ("min_slaves_good_slaves", "2"),
            ];
            advice(&Identity::of(&fields, Timestamp::default()))
        };
        for safe in [
            "7.2.12", "8.0.7", "8.1.6", "8.1.10", "9.0.3", "9.1.0", "10.0.0",
        ] {
            assert_eq!(of(safe, "name=lua,ver=1"), [], "{safe}");
        }
        for old in ["7.2.11", "8.0.6", "8.1.5", "8.2.9", "9.0.2"] {
            let told = of(old, "");
            assert!(
                told.len() == 1 && told[0].text.contains(&format!("Valkey {old} may have")),
                "{told:?}"
            );
        }
        let told = of("9.0.3", "name=search,ver=1");
        assert!(
            told.len() == 1 && told[0].text.contains("(search)"),
            "{told:?}"
        );
        let redis = [
            ("redis_version", "8.6.3"),
            ("module", "name=lua,ver=1"),
            ("aof_enabled", "1"),
            ("min_slaves_good_slaves", "2"),
        ];
        let told = advice(&Identity::of(&redis, Timestamp::default()));
        assert_eq!(told.len(), 1, "on Redis no module is needed: {told:?}");
    }

    #[test]
    fn store_12_what_a_failover_or_restart_may_lose_is_named() {
        let bare = Identity::of(
            &[("redis_version", "8.6.3"), ("aof_enabled", "0")],
            Timestamp::default(),
        );
        let words: Vec<_> = advice(&bare)
            .into_iter()
            .map(|complaint| complaint.word)
            .collect();
        assert_eq!(words, ["no_aof", "no_min_replicas"]);
        let slow = [
            ("redis_version", "8.6.3"),
            ("aof_enabled", "1"),
            ("min_slaves_good_slaves", "1"),
            ("slave0", "ip=1,port=2,state=online,offset=3,lag=9"),
            ("module", "name=x,ver=1"),
        ];
        let words: Vec<_> = advice(&Identity::of(&slow, Timestamp::default()))
            .into_iter()
            .map(|complaint| complaint.word)
            .collect();
        assert_eq!(words, ["modules", "lag"]);
    }
}
