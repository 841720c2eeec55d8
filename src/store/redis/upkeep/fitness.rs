//! Checks while the service runs what was checked at the start, so that *ready* means: a start would succeed.

use std::time::Duration;

use super::open::RedisOpenError;
use crate::{
    ports::store::{Complaint, StoreError},
    store::redis::{
        Core,
        connection::{fault::Fault, health::unfit, identity::Identity, node::Lane},
    },
};

/// The time between two checks; a condition is seen within two of them.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long one check may take. Servers that do not answer are found by the checks of their connections.
const CHECK_TIMEOUT: Duration = Duration::from_millis(1500);

impl Core {
    /// Checks again and again whether a start would succeed.
    pub(in crate::store::redis) async fn watch_fitness(&self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            let checked = tokio::time::timeout(CHECK_TIMEOUT, self.unfitness()).await;
            // Otherwise what was known stays; connections that are lost are found by their own checks.
            if let Ok(Ok(found)) = checked {
                self.common.health.set_unfit(&found);
            }
        }
    }

    /// Everything for which a start would be refused now.
    async fn unfitness(&self) -> Result<Vec<Complaint>, StoreError> {
        let mut found = self.unfit_servers().await?;
        if found.is_empty() {
            found.extend(self.refused_rights().await);
            if let Err(RedisOpenError::Unfit(texts)) = self.try_replay().await {
                found.extend(texts.into_iter().map(|text| Complaint {
                    word: "replay_incomplete",
                    text,
                }));
            }
        }
        // What refuses writes would also keep a loss from being recorded.
        if found.is_empty() {
            found.extend(self.other_shards().await?);
        }
        Ok(found)
    }

    async fn unfit_servers(&self) -> Result<Vec<Complaint>, StoreError> {
        let mut found = Vec::new();
        for links in self.topology.nodes().iter().filter_map(|node| node.links()) {
            let link = links.pick(Lane::Plain);
            let answers = link.send(&Identity::questions()).await;
            let identity = answers
                .and_then(Identity::read)
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            found.extend(unfit(&identity).into_iter().map(|text| Complaint {
                word: "server_unfit",
                text: format!("{}: {text}", links.at),
            }));
        }
        Ok(found)
    }

    /// Executes every call that the service needs; too few replicas are noted on the connection, as by other calls.
    async fn refused_rights(&self) -> Option<Complaint> {
        let refused = self.try_rights(Lane::Plain).await.err()?;
        let word = match &refused.fault {
            Fault::Full => "store_full",
            Fault::Final if refused.is_about_rights() => "right_missing",
            Fault::Final => "writes_refused",
            // Others are found, and mended, by the checks of the connections.
            Fault::TooFewReplicas
            | Fault::Dropped
            | Fault::Elsewhere
            | Fault::Moved(_)
            | Fault::Ask(_)
            | Fault::Moving => return None,
        };
        // The server's word, which some versions leave out of what a script returns.
        let code = if word == "right_missing" && !refused.text.contains("NOPERM") {
            " (NOPERM)"
        } else {
            ""
        };
        let text = format!("{}{code}", refused.text);
        Some(Complaint { word, text })
    }

    /// Compares the number of shards. If it is missing, the store has lost its data: the loss is recorded, as
    /// `countersign store init --after-loss` does.
    async fn other_shards(&self) -> Result<Option<Complaint>, StoreError> {
        let wanted = self.keys.shards();
        match self.shard_count().await? {
            Some(found) if found == wanted => Ok(None),
            Some(found) => Ok(Some(Complaint {
                word: "other_shards",
                text: RedisOpenError::Shards { found, wanted }.to_string(),
            })),
            None => {
                self.record_loss().await?;
                Ok(None)
            }
        }
    }
}
