//! Asks the sentinels for the current master.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{aio::MultiplexedConnection, cmd};
use tokio::sync::Mutex;

use super::settings::RedisSettings;
use crate::ports::store::url::Endpoint;

/// How long a sentinel may take to answer; after that the next one is asked.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The sentinels; the one that answered last is asked first.
pub(in crate::store::redis) struct Sentinels {
    all: Vec<Endpoint>,
    master: String,
    last: AtomicUsize,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    pub(in crate::store::redis) fn new(all: Vec<Endpoint>, master: String) -> Self {
        Self {
            all,
            master,
            last: AtomicUsize::new(0),
            connection: Mutex::new(None),
        }
    }

    /// The master, from the first sentinel that answers.
    ///
    /// # Errors
    /// The last failure, if no sentinel answers or none knows the master.
    pub(in crate::store::redis) async fn master(
        &self,
        settings: &RedisSettings,
    ) -> Result<Endpoint, String> {
        let mut connection = self.connection.lock().await;
        let mut why = "there are no sentinels".to_owned();
        for turn in 0..self.all.len() {
            let at = (self.last.load(Ordering::Relaxed) + turn) % self.all.len();
            let sentinel = &self.all[at];
            let asked = tokio::time::timeout(
                ANSWER_TIMEOUT,
                self.ask(sentinel, &mut connection, settings),
            )
            .await;
            match asked.unwrap_or_else(|_| Err("it does not answer".to_owned())) {
                Ok(master) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(master);
                }
                Err(reason) => {
                    *connection = None;
                    why = format!("sentinel {sentinel}: {reason}");
                }
            }
        }
        Err(why)
    }

    async fn ask(
        &self,
        sentinel: &Endpoint,
        connection: &mut Option<MultiplexedConnection>,
        settings: &RedisSettings,
    ) -> Result<Endpoint, String> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(
                settings
                    .dial_sentinel(sentinel)
                    .await
                    .map_err(|error| error.to_string())?,
            ),
        };
        ask_master(connection, &self.master).await
    }
}

/// Asks a sentinel for the master of this name.
///
/// # Errors
/// The sentinel does not answer, or knows no such master.
pub(in crate::store::redis) async fn ask_master(
    connection: &mut MultiplexedConnection,
    master: &str,
) -> Result<Endpoint, String> {
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer: Option<(String, u16)> = question
        .query_async(connection)
        .await
        .map_err(|error| error.to_string())?;
    let (host, port) = answer.ok_or_else(|| format!("it knows no master {master:?}"))?;
    Ok(Endpoint { host, port })
}
