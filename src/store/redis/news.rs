//! News of changes: one channel per watched record, over one connection per server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, aio::MultiplexedConnection, cmd};
use tokio::sync::{mpsc, watch};

use super::{
    Core,
    connection::node::{Node, State},
    keys::slot,
};
use crate::{
    domain::record::key::RecordKey,
    ports::store::{News, StoreError, url::Endpoint},
};

/// The time between two rounds that unsubscribe records without watchers and follow servers that
/// were added or removed.
const TIDY_EVERY: Duration = Duration::from_millis(500);
/// The pause after a connection for news was lost.
const PAUSE: Duration = Duration::from_millis(100);

/// A watched record with its subscription.
struct Topic {
    news: watch::Sender<u64>,
    /// Whether the server has confirmed the subscription.
    heard: watch::Sender<bool>,
    /// Whether a confirmed subscription was lost, so that news may have been missed.
    missed: bool,
}

impl Topic {
    fn new() -> Self {
        Self {
            news: watch::Sender::new(0),
            heard: watch::Sender::new(false),
            missed: false,
        }
    }
}

/// All watched records, and the connections over which their news arrives.
#[derive(Default)]
pub(super) struct Hub {
    topics: Mutex<HashMap<RecordKey, Topic>>,
    /// Per server, the queue of subscribe and unsubscribe requests for its connection.
    ears: Mutex<HashMap<Endpoint, mpsc::UnboundedSender<(&'static str, RecordKey)>>>,
}

impl Hub {
    fn topics(&self) -> MutexGuard<'_, HashMap<RecordKey, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ears(
        &self,
    ) -> MutexGuard<'_, HashMap<Endpoint, mpsc::UnboundedSender<(&'static str, RecordKey)>>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, key: &RecordKey) {
        if let Some(topic) = self.topics().get(key) {
            topic.news.send_modify(|news| *news = news.wrapping_add(1));
        }
    }

    /// Marks a record as subscribed. If news may have been missed before, its watchers are notified
    /// and load the record.
    fn hear(&self, key: &RecordKey) {
        if let Some(topic) = self.topics().get_mut(key) {
            topic.heard.send_replace(true);
            if std::mem::take(&mut topic.missed) {
                topic.news.send_modify(|news| *news = news.wrapping_add(1));
            }
        }
    }

    /// Marks records as not subscribed.
    fn deafen(&self, which: impl Fn(&RecordKey) -> bool) {
        for (_, topic) in self.topics().iter_mut().filter(|(key, _)| which(key)) {
            topic.missed |= topic.heard.send_replace(false);
        }
    }

    /// The records that are watched but not subscribed.
    fn unheard(&self) -> Vec<RecordKey> {
        self.topics()
            .iter()
            .filter(|(_, topic)| !*topic.heard.borrow())
            .map(|(key, _)| *key)
            .collect()
    }

    /// Adds a watcher of a record; the last value says whether it is the first one.
    fn subscribe(&self, key: &RecordKey) -> (News, watch::Receiver<bool>, bool) {
        let mut topics = self.topics();
        let is_new = !topics.contains_key(key);
        let topic = topics.entry(*key).or_insert_with(Topic::new);
        (topic.news.subscribe(), topic.heard.subscribe(), is_new)
    }

    /// Removes and returns the records without watchers.
    fn drop_idle(&self) -> Vec<RecordKey> {
        let mut topics = self.topics();
        let is_idle =
            |topic: &Topic| topic.news.receiver_count() == 0 && topic.heard.receiver_count() == 0;
        let idle: Vec<_> = topics
            .iter()
            .filter(|(_, topic)| is_idle(topic))
            .map(|(key, _)| *key)
            .collect();
        idle.iter().for_each(|key| drop(topics.remove(key)));
        idle
    }
}

impl Core {
    /// Subscribes to changes of a record made after this call: returns once the server
    /// has confirmed the subscription.
    pub(super) async fn watch_record(&self, key: &RecordKey) -> Result<News, StoreError> {
        let (news, mut heard, is_new) = self.hub.subscribe(key);
        if is_new {
            self.ask("SSUBSCRIBE", key);
        }
        let confirmed = heard.wait_for(|heard| *heard).await.is_ok();
        if confirmed {
            Ok(news)
        } else {
            Err(StoreError::Unavailable("no news".to_owned()))
        }
    }

    /// Sends a request over the connection to the record's server. Without a connection nothing is sent: a new
    /// connection subscribes to all watched records.
    fn ask(&self, what: &'static str, key: &RecordKey) {
        let server = self
            .topology
            .node_of(slot(&self.keys.due(self.keys.shard(key))))
            .and_then(|node| node.links());
        if let Some(ear) = server.and_then(|links| self.hub.ears().get(&links.at).cloned()) {
            // If the connection has just failed, the next one subscribes to all watched records anyway.
            let _ = ear.send((what, *key));
        }
    }

    /// Maintains a connection for news to each connected server, and unsubscribes records without watchers.
    pub(super) async fn keep_listening(self: Arc<Self>) {
        let mut listening: Vec<(Arc<Node>, tokio::task::AbortHandle)> = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            let nodes = self.topology.nodes();
            listening.retain(|(node, task)| {
                let stays = nodes.iter().any(|other| Arc::ptr_eq(other, node));
                if !stays {
                    task.abort();
                }
                stays
            });
            for node in nodes {
                if !listening.iter().any(|(known, _)| Arc::ptr_eq(known, &node)) {
                    let task = tasks.spawn(self.clone().listen(node.clone()));
                    listening.push((node, task));
                }
            }
            tokio::time::sleep(TIDY_EVERY).await;
            self.hub
                .drop_idle()
                .iter()
                .for_each(|key| self.ask("SUNSUBSCRIBE", key));
            // Subscribe again records whose slot moved, or whose request was lost with a connection.
            self.hub
                .unheard()
                .iter()
                .for_each(|key| self.ask("SSUBSCRIBE", key));
        }
    }

    /// Receives news from one server; reconnects after each failure.
    async fn listen(self: Arc<Self>, node: Arc<Node>) {
        let mut states = node.states();
        loop {
            let up = match &*states.borrow_and_update() {
                State::Up(links) => Some(links.clone()),
                State::Down { .. } => None,
            };
            if let Some(links) = up {
                let broke = tokio::select! {
                    broke = self.listen_once(&node, &links.at) => broke,
                    () = links.trust.lost().cancelled() => Ok(()),
                };
                self.hub.ears().remove(&links.at);
                self.hub.deafen(|key| self.lies_at(key, &node));
                if let Err(error) = broke {
                    tracing::warn!(server = %links.at, %error, "connection for news of changes lost");
                }
                tokio::time::sleep(PAUSE).await;
            } else if states.changed().await.is_err() {
                return;
            }
        }
    }

    async fn listen_once(&self, node: &Arc<Node>, at: &Endpoint) -> Result<(), redis::RedisError> {
        let (push, mut pushes) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new().set_push_sender(push);
        let mut connection = self.common.settings.dial(at, config).await?;
        let (ear, mut asked) = mpsc::unbounded_channel();
        self.hub.ears().insert(at.clone(), ear);
        for key in self
            .hub
            .unheard()
            .iter()
            .filter(|key| self.lies_at(key, node))
        {
            subscribe(&mut connection, "SSUBSCRIBE", &self.keys.news(key)).await?;
        }
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    None | Some(PushInfo { kind: PushKind::Disconnection, .. }) => return Ok(()),
                    Some(push) => self.take(&push),
                },
                Some((what, key)) = asked.recv() => subscribe(&mut connection, what, &self.keys.news(&key)).await?,
            }
        }
    }

    fn lies_at(&self, key: &RecordKey, node: &Arc<Node>) -> bool {
        self.topology
            .node_of(slot(&self.keys.news(key)))
            .is_some_and(|other| Arc::ptr_eq(&other, node))
    }

    fn take(&self, push: &PushInfo) {
        let Some(Value::BulkString(channel)) = push.data.first() else {
            return;
        };
        let Some(key) = self.keys.of_news(channel) else {
            return;
        };
        match push.kind {
            PushKind::SMessage => self.hub.tell(&key),
            PushKind::SSubscribe => self.hub.hear(&key),
            // The server also sends this when a slot moves away.
            PushKind::SUnsubscribe => self.hub.deafen(|other| *other == key),
            _ => {}
        }
    }
}

/// Sends a (un)subscribe command. RESP3 confirms it by a push message, not by a reply.
async fn subscribe(
    connection: &mut MultiplexedConnection,
    what: &str,
    channel: &[u8],
) -> Result<(), redis::RedisError> {
    let mut call = cmd(what);
    call.arg(channel).set_no_response(true);
    connection.send_packed_command(&call).await.map(drop)
}
