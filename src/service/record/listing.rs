//! Lists the events of a tenant page by page: of one subject, or of all in the order of their time.

mod merge;

use std::collections::HashMap;

use futures_util::{StreamExt as _, stream};

use self::merge::{Merged, Place};
use super::{Records, vault::Line};
use crate::{
    domain::{
        caller::Caller,
        crypto::keyring::Mark,
        ids::{SubjectId, SubjectKey, TenantId},
        time::Timestamp,
    },
    ports::store::StoredEvent,
    service::{
        Service,
        failure::{Failure, FieldViolation, within},
    },
};

/// The most entries that one call visits. Beyond it the page ends, even if it is empty: a rare subject must not cost
/// a walk over the whole trail in one call.
const ENTRIES_MAX: usize = 10_000;

/// The number of records that are loaded at the same time.
const LOADS_MAX: usize = 16;

/// The number of bytes of a page token: version, time, shard and cursor, and the mark of the list.
const TOKEN_BYTES: usize = 1 + 8 + 2 + 8 + 16;
const TOKEN_VERSION: u8 = 1;

/// The events to list.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Only events of this subject; `None` for all of the tenant.
    pub subject: Option<SubjectId>,
    /// Only events recorded at this time or later.
    pub since: Timestamp,
    /// Only events recorded before this time.
    pub until: Timestamp,
    /// The most events of a page; only the events of one commit may exceed it.
    pub count: usize,
    /// Where the page begins, from the page before it; `None` for the first page.
    pub token: Option<Vec<u8>>,
}

/// One event of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEvent {
    /// When it was recorded, by the store's clock.
    pub recorded_at: Timestamp,
    /// The subject that it is about.
    pub subject: SubjectKey,
    /// Its content, as the vault opened it.
    pub line: Line,
}

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events, oldest first; may be empty although more pages follow.
    pub events: Vec<ListedEvent>,
    /// The token of the next page; `None` after the last one.
    pub next: Option<Vec<u8>>,
}

/// What is needed of a record to open its events, and to tell whose they are.
struct Opener {
    salt: Option<[u8; 16]>,
    tenant: Option<TenantId>,
}

impl Service {
    /// Lists events of the caller's tenant.
    ///
    /// # Errors
    /// [`Failure`] if the token is not one of this list, or the store does not answer.
    pub async fn list_events(
        &self,
        caller: &Caller,
        query: EventQuery,
    ) -> Result<EventPage, Failure> {
        let mark = self.list_mark(&caller.tenant, &query);
        let after = query.token.as_deref().map(|token| {
            read_token(token, &mark).ok_or_else(|| {
                Failure::Fields(vec![FieldViolation {
                    field: "page_token".to_owned(),
                    description: "is not a next_page_token of a list with the same subject, since and until; list from the beginning without it".to_owned(),
                }])
            })
        });
        let subject = query
            .subject
            .as_ref()
            .map(|subject| self.keyring.subject_key(&caller.tenant, subject));
        let (found, next) = self
            .records
            .find_events(subject, &query, after.transpose()?)
            .await?;
        Ok(EventPage {
            events: self.records.open_events(&caller.tenant, found).await?,
            next: next.map(|place| write_token(place, &mark)),
        })
    }

    /// Marks the list that a token belongs to, so that a token of another list is refused.
    fn list_mark(&self, tenant: &TenantId, query: &EventQuery) -> Mark {
        let subject = query.subject.as_ref().map_or("", |id| id.as_str());
        self.keyring.mark(
            "events",
            &[
                tenant.as_str().as_bytes(),
                subject.as_bytes(),
                &query.since.as_micros().to_be_bytes(),
                &query.until.as_micros().to_be_bytes(),
            ],
        )
    }
}

impl Records {
    /// The next events of the list, sealed, and where the next page begins.
    async fn find_events(
        &self,
        subject: Option<SubjectKey>,
        query: &EventQuery,
        after: Option<Place>,
    ) -> Result<(Vec<StoredEvent>, Option<Place>), Failure> {
        let store = &*self.store;
        let shards = match subject {
            Some(subject) => {
                let shard = store.shard_of(&subject.into());
                shard..=shard
            }
            None => 0..=store.shards() - 1,
        };
        let begin = Merged::begin(store, shards, query.since, after, query.count);
        let mut merged = within(self.deadline, async { Ok(begin.await?) }).await?;
        let (mut found, mut last) = (Vec::new(), after);
        for _ in 0..ENTRIES_MAX {
            let next = within(self.deadline, async { Ok(merged.next(query.until).await?) });
            let Some((place, entry)) = next.await? else {
                return Ok((found, None));
            };
            let is_listed = |event: &StoredEvent| {
                (query.since..query.until).contains(&event.at)
                    && subject.is_none_or(|subject| event.key.as_subject() == Some(subject))
            };
            if entry.iter().all(is_listed) {
                if !found.is_empty() && found.len() + entry.len() > query.count {
                    return Ok((found, last));
                }
                found.extend(entry);
            }
            last = Some(place);
        }
        Ok((found, last))
    }

    /// Opens events; leaves out those of other tenants and of erased subjects.
    async fn open_events(
        &self,
        tenant: &TenantId,
        found: Vec<StoredEvent>,
    ) -> Result<Vec<ListedEvent>, Failure> {
        let mut subjects: Vec<SubjectKey> = found
            .iter()
            .filter_map(|event| event.key.as_subject())
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        let loads = subjects.into_iter().map(async |subject| {
            let opener = within(self.deadline, self.opener(&subject)).await?;
            Ok::<_, Failure>((subject, opener))
        });
        let loads: Vec<_> = stream::iter(loads)
            .buffer_unordered(LOADS_MAX)
            .collect()
            .await;
        let openers: HashMap<SubjectKey, Opener> = loads.into_iter().collect::<Result<_, _>>()?;
        let listed = found.into_iter().filter_map(|event| {
            let subject = event.key.as_subject()?;
            let opener = openers.get(&subject)?;
            let line = self.open_line(&subject, opener.salt.as_ref(), &event.sealed)?;
            // Version 0.1 stored no tenant. Its event is listed only if the record still tells whose it is.
            let is_ours = match (line.tenant.as_str(), &opener.tenant) {
                ("", of_record) => of_record.as_ref() == Some(tenant),
                (of_event, _) => of_event == tenant.as_str(),
            };
            is_ours.then_some(ListedEvent {
                recorded_at: event.at,
                subject,
                line,
            })
        });
        Ok(listed.collect())
    }

    async fn opener(&self, subject: &SubjectKey) -> Result<Opener, Failure> {
        match self.load(subject).await {
            Ok(loaded) => {
                let record = loaded.record.as_ref();
                // A subject belongs to one tenant, and so do all its verifications.
                let first = record.and_then(|record| record.verifications.first());
                Ok(Opener {
                    salt: loaded.salt,
                    tenant: first.map(|verification| verification.tenant.clone()),
                })
            }
            // The salt for its events is in the record, so they cannot be opened either.
            Err(Failure::RecordUnreadable(_)) => Ok(Opener {
                salt: None,
                tenant: None,
            }),
            Err(other) => Err(other),
        }
    }
}

fn write_token(place: Place, mark: &Mark) -> Vec<u8> {
    [
        &[TOKEN_VERSION][..],
        &place.at.as_micros().to_be_bytes(),
        &place.shard.to_be_bytes(),
        &place.cursor.to_be_bytes(),
        mark,
    ]
    .concat()
}

fn read_token(token: &[u8], mark: &Mark) -> Option<Place> {
    let token: &[u8; TOKEN_BYTES] = token.try_into().ok()?;
    let (&[version], rest) = token.split_first_chunk::<1>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (shard, rest) = rest.split_first_chunk::<2>()?;
    let (cursor, of_list) = rest.split_first_chunk::<8>()?;
    (version == TOKEN_VERSION && of_list == mark).then(|| Place {
        at: Timestamp::from_micros(u64::from_be_bytes(*at)),
        shard: u16::from_be_bytes(*shard),
        cursor: u64::from_be_bytes(*cursor),
    })
}
