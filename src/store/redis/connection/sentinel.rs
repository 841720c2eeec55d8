//! Asks the sentinels who is master.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use redis::{aio::MultiplexedConnection, cmd};
use tokio::sync::Mutex;

use super::settings::RedisSettings;
use crate::ports::store::url::Endpoint;

/// A sentinel that does not answer by then is passed over.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

/// The sentinels, and the one that answered last.
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

    /// The master, as the first sentinel says that answers.
    ///
    /// # Errors
    /// None answers, or none knows it.
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
        let mut question = cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.master);
        let answer: Option<(String, u16)> = question
            .query_async(connection)
            .await
            .map_err(|error| error.to_string())?;
        let (host, port) = answer.ok_or_else(|| format!("it knows no master {:?}", self.master))?;
        Ok(Endpoint { host, port })
    }
}
