//! The rules and counts of the proxy.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// The number of times for a rule that stays until it is cleared.
pub const ALWAYS: usize = usize::MAX;
/// The number of command names that are kept.
const LOG_MAX: usize = 65_536;

type Matching = Box<dyn Fn(&[Vec<u8>]) -> bool + Send>;

/// Matches requests with this command.
pub fn command(name: &str) -> impl Fn(&[Vec<u8>]) -> bool + Send + 'static {
    let name = name.to_owned();
    move |arguments| arguments[0].eq_ignore_ascii_case(name.as_bytes())
}

/// Matches requests with this command that have this text in an argument: a key, or the hash of a script.
pub fn command_with(name: &str, text: &str) -> impl Fn(&[Vec<u8>]) -> bool + Send + 'static {
    let (named, text) = (command(name), text.to_owned());
    move |arguments| {
        named(arguments)
            && arguments[1..]
                .iter()
                .any(|part| String::from_utf8_lossy(part).contains(&text))
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fate {
    Pass,
    DropReply,
    DropRequest,
    Error(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Pass,
    Cut,
    Blackhole,
}

/// The state that all connections follow.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    pub mode: Mode,
    pub delay: Duration,
    /// How often all connections were closed.
    pub cuts: u64,
}

pub struct Rule {
    id: usize,
    left: usize,
    fate: Fate,
    matching: Matching,
}

pub struct State {
    pub upstream: SocketAddr,
    pub rules: Vec<Rule>,
    pub counts: BTreeMap<String, u64>,
    pub connections: u64,
    pub open: u64,
    pub round_trips: u64,
    pub log: VecDeque<Vec<Vec<u8>>>,
    /// How often each rule was applied.
    hits: Vec<u64>,
}

/// The state shared by the handle, the rules and the connections.
pub struct Shared {
    state: Mutex<State>,
    pub control: watch::Sender<Control>,
}

impl Shared {
    pub fn new(upstream: SocketAddr) -> Self {
        let (counts, rules, hits) = (BTreeMap::new(), Vec::new(), Vec::new());
        let state = State {
            upstream,
            rules,
            counts,
            connections: 0,
            open: 0,
            round_trips: 0,
            log: VecDeque::new(),
            hits,
        };
        let control = watch::Sender::new(Control {
            mode: Mode::Pass,
            delay: Duration::ZERO,
            cuts: 0,
        });
        Self {
            state: Mutex::new(state),
            control,
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn control(&self, change: impl FnOnce(&mut Control)) {
        self.control.send_modify(change);
    }

    pub fn add(self: &Arc<Self>, times: usize, fate: Fate, matching: Matching) -> Fault {
        let mut state = self.state();
        let id = state.hits.len();
        state.hits.push(0);
        state.rules.push(Rule {
            id,
            left: times,
            fate,
            matching,
        });
        Fault {
            shared: Arc::clone(self),
            id,
        }
    }

    /// Counts a request, and decides what happens to it by the first rule that matches.
    pub fn judge(&self, arguments: &[Vec<u8>], begins_trip: bool) -> Fate {
        let mut state = self.state();
        *state.counts.entry(name(arguments)).or_default() += 1;
        state.round_trips += u64::from(begins_trip);
        if state.log.len() == LOG_MAX {
            state.log.pop_front();
        }
        state.log.push_back(arguments.to_vec());
        let Some(rule) = state
            .rules
            .iter_mut()
            .find(|rule| rule.left > 0 && (rule.matching)(arguments))
        else {
            return Fate::Pass;
        };
        if rule.left != ALWAYS {
            rule.left -= 1;
        }
        let (id, fate) = (rule.id, rule.fate.clone());
        state.hits[id] += 1;
        fate
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        write!(
            f,
            "to {}: {:?}, {} connections, {:?}",
            state.upstream,
            *self.control.borrow(),
            state.connections,
            state.counts
        )
    }
}

/// The command of a request, in capitals.
pub fn name(arguments: &[Vec<u8>]) -> String {
    arguments
        .first()
        .map(|name| String::from_utf8_lossy(name).to_ascii_uppercase())
        .unwrap_or_default()
}

/// A rule of a proxy; it stays when this handle is dropped.
#[derive(Debug)]
pub struct Fault {
    shared: Arc<Shared>,
    id: usize,
}

impl Fault {
    /// How often the rule was applied.
    pub fn hits(&self) -> u64 {
        self.shared.state().hits[self.id]
    }

    /// Removes the rule.
    pub fn clear(&self) {
        self.shared.state().rules.retain(|rule| rule.id != self.id);
    }
}
