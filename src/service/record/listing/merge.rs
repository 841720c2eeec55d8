//! Merges the entries of several shards in the order of their time.

use std::{collections::VecDeque, ops::RangeInclusive, time::Duration};

use crate::{
    domain::time::Timestamp,
    ports::store::{Store, StoreError, StoredEvent},
};

/// The least and the largest number of events that are read from a shard at once.
const PAGE_MIN: usize = 16;
const PAGE_MAX: usize = 512;

/// How far a shard is read beyond the end of the list. An embedded store keeps entries in the order in which they were
/// written: if its clock was set back, later entries have earlier times.
const CLOCK_STEP_MAX: Duration = Duration::from_secs(3600);

/// The place of an entry in the order of the list: by time, then by shard, then by cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at: Timestamp,
    pub(super) shard: u16,
    pub(super) cursor: u64,
}

/// The entries of one shard that are not listed yet.
struct Source {
    shard: u16,
    after: u64,
    read: VecDeque<StoredEvent>,
    is_over: bool,
}

impl Source {
    /// The place of the next entry.
    fn first(&self) -> Option<Place> {
        self.read.front().map(|event| Place {
            at: event.at,
            shard: self.shard,
            cursor: event.cursor,
        })
    }
}

/// The entries of several shards in the order of the list.
pub(super) struct Merged<'a> {
    store: &'a dyn Store,
    page: usize,
    sources: Vec<Source>,
}

impl<'a> Merged<'a> {
    /// Begins after a place, or with the first entry of a time.
    pub(super) async fn begin(
        store: &'a dyn Store,
        shards: RangeInclusive<u16>,
        since: Timestamp,
        after: Option<Place>,
        count: usize,
    ) -> Result<Self, StoreError> {
        let page = (2 * count / shards.len().max(1)).clamp(PAGE_MIN, PAGE_MAX);
        let mut sources = Vec::with_capacity(shards.len());
        for shard in shards {
            let after = match after {
                None => store.cursor_before(shard, since).await?,
                Some(place) if shard == place.shard => place.cursor,
                // Entries of the same time in shards before it come before it.
                Some(place) if shard < place.shard => {
                    let later = place.at.plus(Duration::from_micros(1));
                    store.cursor_before(shard, later).await?
                }
                Some(place) => store.cursor_before(shard, place.at).await?,
            };
            sources.push(Source {
                shard,
                after,
                read: VecDeque::new(),
                is_over: false,
            });
        }
        Ok(Self {
            store,
            page,
            sources,
        })
    }

    /// The next entry with its place; `None` if there is none before this time.
    pub(super) async fn next(
        &mut self,
        until: Timestamp,
    ) -> Result<Option<(Place, Vec<StoredEvent>)>, StoreError> {
        for source in &mut self.sources {
            if source.read.is_empty() && !source.is_over {
                let events = self.store.events(source.shard, source.after, self.page);
                let events = events.await?;
                source.is_over = events.len() < self.page;
                source.after = events.last().map_or(source.after, |last| last.cursor);
                source.read = events.into();
            }
            let is_late = |first: Place| first.at >= until.plus(CLOCK_STEP_MAX);
            if source.first().is_some_and(is_late) {
                source.is_over = true;
                source.read.clear();
            }
        }
        let nearest = self
            .sources
            .iter_mut()
            .filter_map(|source| Some((source.first()?, source)))
            .min_by_key(|(place, _)| *place);
        Ok(nearest.map(|(place, source)| {
            let events = &mut source.read;
            let end = events.partition_point(|event| event.cursor <= place.cursor);
            (place, events.drain(..end).collect())
        }))
    }
}
