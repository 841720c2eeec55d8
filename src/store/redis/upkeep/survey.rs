//! Looks at the servers that the service does not use until a failover: the replicas of each master, and all sentinels.

use std::{sync::Arc, time::Duration};

use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};

use super::replay::{Replay, drops};
use crate::{
    domain::time::Generation,
    ports::store::{
        Complaint,
        url::{Endpoint, RedisKind},
    },
    store::redis::{
        Redis,
        connection::{
            health::{advice, unfit},
            identity::Identity,
            link::Link,
            node::Lane,
            sentinel::ask_master,
        },
    },
};

/// How long one server may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Fewer sentinels cannot outvote the loss of one.
const SENTINELS_MIN: usize = 3;
/// The most replicas that a master lists in its `INFO`, as far as they are looked at.
const REPLICAS_MAX: usize = 16;

impl Redis {
    /// What a failover would meet: replicas that the service could not use, and sentinels that do not answer or
    /// disagree.
    pub async fn survey(&self) -> Vec<Complaint> {
        let mut told = self.survey_sentinels().await;
        for links in self
            .core
            .topology
            .nodes()
            .iter()
            .filter_map(|node| node.links())
        {
            let link = links.pick(Lane::Plain);
            let Ok(master) = link
                .send(&Identity::questions())
                .await
                .and_then(Identity::read)
            else {
                continue;
            };
            for replica in replicas(&master) {
                told.extend(self.survey_replica(&replica).await);
            }
        }
        told
    }

    async fn survey_replica(&self, at: &Endpoint) -> Vec<Complaint> {
        let say = |word, text: String| Complaint {
            word,
            text: format!("the replica {at}{text}"),
        };
        let (link, identity) = match self.ask_replica(at).await {
            Ok(asked) => asked,
            Err(why) => {
                let text = format!(
                    " cannot be checked ({why}); give it the ACL file, the certificate and the address of its master"
                );
                return vec![say("replica_unknown", text)];
            }
        };
        let mut told: Vec<_> = unfit(&identity)
            .into_iter()
            .map(|text| say("replica_unfit", format!(": {text}")))
            .collect();
        if identity.get("master_link_status") != "up" {
            told.push(say(
                "replica_behind",
                " has no connection to its master, so a failover would lose what it lacks"
                    .to_owned(),
            ));
        }
        // What a master lacks in replicas is no matter of a replica.
        let advice = advice(&identity).into_iter();
        let advice =
            advice.filter(|complaint| !["no_min_replicas", "lag"].contains(&complaint.word));
        told.extend(advice.map(|complaint| say(complaint.word, format!(": {}", complaint.text))));
        told.extend(self.survey_rights(at, &link, &identity).await);
        told
    }

    /// Whether our user, and the user as whom the append-only file is replayed, have the rights there too.
    async fn survey_rights(
        &self,
        at: &Endpoint,
        link: &Link,
        identity: &Identity,
    ) -> Option<Complaint> {
        let login = self.core.common.settings.login.as_ref()?;
        let ours = login.username.as_str();
        if ours.is_empty() {
            return None;
        }
        if let Replay::Drops(name) = self.core.rights_of(link, ours).await {
            return Some(Complaint {
                word: "replica_rights",
                text: format!(
                    "the replica {at}: user {ours} may not use {name}; give it the ACL file of its master"
                ),
            });
        }
        if identity.get("aof_enabled") != "1" {
            return None;
        }
        match self.core.replay_of(link).await {
            Replay::Drops(name) => Some(Complaint {
                word: "replica_rights",
                text: format!("the replica {at}: {}", drops(name)),
            }),
            Replay::Complete | Replay::Unknown(_) => None,
        }
    }

    async fn ask_replica(&self, at: &Endpoint) -> Result<(Link, Identity), String> {
        let settings = &self.core.common.settings;
        let asked = async {
            let connection = settings.dial(at, AsyncConnectionConfig::new()).await?;
            let link = lone_link(connection);
            let answers = link.send(&Identity::questions()).await?;
            Ok::<_, redis::RedisError>((link, Identity::read(answers)?))
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, asked).await {
            Ok(asked) => asked.map_err(|error| error.to_string()),
            Err(_late) => Err("it does not answer".to_owned()),
        }
    }

    async fn survey_sentinels(&self) -> Vec<Complaint> {
        let settings = &self.core.common.settings;
        let RedisKind::Sentinel { sentinels, master } = &settings.url.kind else {
            return Vec::new();
        };
        let mut told = Vec::new();
        let mut masters: Vec<(&Endpoint, Endpoint)> = Vec::new();
        for sentinel in sentinels {
            let asked = async {
                let dialed = settings.dial_sentinel(sentinel).await;
                let mut connection = dialed.map_err(|error| error.to_string())?;
                ask_master(&mut connection, master).await
            };
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, asked).await;
            match asked.unwrap_or_else(|_late| Err("it does not answer".to_owned())) {
                Ok(named) => masters.push((sentinel, named)),
                Err(why) => told.push(Complaint {
                    word: "sentinel_unknown",
                    text: format!("the sentinel {sentinel} is of no use: {why}"),
                }),
            }
        }
        if let Some(((first, one), (second, other))) = differing(&masters) {
            told.push(Complaint {
                word: "sentinels_disagree",
                text: format!(
                    "the sentinel {first} names {one} as master, and {second} names {other}"
                ),
            });
        }
        if sentinels.len() < SENTINELS_MIN {
            told.push(Complaint {
                word: "few_sentinels",
                text: format!(
                    "store.url names {} sentinels; with fewer than {SENTINELS_MIN} no failover happens when one is lost",
                    sentinels.len()
                ),
            });
        }
        told
    }
}

type Named<'a> = (&'a Endpoint, Endpoint);

/// The first sentinel, and one that names another master.
fn differing<'a, 'b>(masters: &'b [Named<'a>]) -> Option<(&'b Named<'a>, &'b Named<'a>)> {
    let first = masters.first()?;
    let other = masters.iter().find(|(_, named)| *named != first.1)?;
    Some((first, other))
}

/// A connection that belongs to no pool.
fn lone_link(connection: MultiplexedConnection) -> Link {
    Link::new(connection, Generation([0; 16]), Arc::default())
}

/// The replicas that a master lists: `slave0:ip=127.0.0.1,port=6380,state=online,..`.
fn replicas(master: &Identity) -> Vec<Endpoint> {
    let lines = (0..REPLICAS_MAX).map(|number| master.get(&format!("slave{number}")));
    lines
        .filter_map(|line| {
            let part = |name: &str| line.split(',').find_map(|part| part.strip_prefix(name));
            Some(Endpoint {
                host: part("ip=")?.to_owned(),
                port: part("port=")?.parse().ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    #[test]
    fn replicas_are_read_from_their_master() {
        let fields = [
            (
                "slave0",
                "ip=127.0.0.1,port=6380,state=online,offset=1,lag=0",
            ),
            (
                "slave1",
                "ip=::1,port=6381,state=wait_bgsave,offset=0,lag=0",
            ),
            ("slave2", "ip=127.0.0.1"),
        ];
        let found = replicas(&Identity::of(&fields, Timestamp::default()));
        let at = |host: &str, port| Endpoint {
            host: host.to_owned(),
            port,
        };
        assert_eq!(found, [at("127.0.0.1", 6380), at("::1", 6381)]);
    }
}
