//! Counts the stored records and events by the key that they are sealed with.

use std::collections::BTreeMap;

use super::Records;
use crate::{
    domain::crypto::{keyring::Kid, seal},
    ports::store::{ScanCursor, Store, StoreError},
};

/// Records or events read at a time.
const PAGE: usize = 256;

/// The gauge: records of the whole store, by key id, as the last count of this process found them.
const GAUGE: &str = "countersign_records_by_key";
/// The gauge of the time when that count ended, in seconds since the Unix epoch.
const GAUGE_AT: &str = "countersign_records_by_key_counted_seconds";
/// In the gauge: everything that is sealed with a key that is not in the ring, or names none.
const NOT_IN_RING: &str = "not_in_ring";

/// What is sealed with one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Records, by the word of their kind.
    pub records: BTreeMap<&'static str, u64>,
    /// Events of the audit trail.
    pub events: u64,
}

impl Sealed {
    /// Records of all kinds.
    #[must_use]
    pub fn all_records(&self) -> u64 {
        self.records.values().sum()
    }
}

/// What is stored, by key id. It is read from what a seal says in clear; whether the seal opens is not tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// By key id; under `None` what names no key: it is damaged, foreign, or of a newer format.
    pub by_kid: BTreeMap<Option<Kid>, Sealed>,
}

impl KeyUsage {
    /// Counts all records and events of a store.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known.
    pub async fn count(store: &dyn Store) -> Result<Self, StoreError> {
        let (mut usage, mut from) = (Self::default(), ScanCursor::default());
        while let Some(next) = usage.count_page(store, &from).await? {
            from = next;
        }
        for shard in 0..store.shards() {
            usage.count_events(store, shard).await?;
        }
        Ok(usage)
    }

    /// Counts one page of records; returns where the next one begins.
    async fn count_page(
        &mut self,
        store: &dyn Store,
        from: &ScanCursor,
    ) -> Result<Option<ScanCursor>, StoreError> {
        let page = store.scan(from, PAGE).await?;
        for record in page.records {
            let kind = record.key.kind.as_str();
            *self.sealed(&record.head).records.entry(kind).or_default() += 1;
        }
        Ok(page.next)
    }

    async fn count_events(&mut self, store: &dyn Store, shard: u16) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let events = store.events(shard, after, PAGE).await?;
            let Some(last) = events.last() else {
                return Ok(());
            };
            after = last.cursor;
            for event in &events {
                self.sealed(&event.sealed).events += 1;
            }
        }
    }

    fn sealed(&mut self, blob: &[u8]) -> &mut Sealed {
        self.by_kid.entry(seal::key_id(blob)).or_default()
    }
}

/// A count of the records that goes on beside the service, page by page.
#[derive(Debug, Default)]
pub struct RecordCount {
    usage: KeyUsage,
    from: ScanCursor,
}

impl Records {
    /// Counts one page of records more, and sets the gauge after the last one; returns whether there are more. Events are
    /// left out: they are many, and reading them means reading all of them.
    ///
    /// # Errors
    /// [`StoreError`]; then the count begins again.
    pub(in crate::service) async fn count_records(
        &self,
        count: &mut RecordCount,
    ) -> Result<bool, StoreError> {
        let store = &*self.store;
        match count.usage.count_page(store, &count.from).await {
            Ok(Some(next)) => {
                count.from = next;
                Ok(true)
            }
            Ok(None) => {
                self.show_usage(&std::mem::take(count).usage);
                Ok(false)
            }
            Err(error) => {
                *count = RecordCount::default();
                Err(error)
            }
        }
    }

    fn show_usage(&self, usage: &KeyUsage) {
        let ring: Vec<&Kid> = self.keyring.kids().collect();
        let mut not_in_ring = 0;
        let mut by_kid: BTreeMap<&str, u64> = ring.iter().map(|kid| (kid.as_str(), 0)).collect();
        for (kid, sealed) in &usage.by_kid {
            let of_kid = kid.as_ref().and_then(|kid| by_kid.get_mut(kid.as_str()));
            *of_kid.unwrap_or(&mut not_in_ring) += sealed.all_records();
        }
        by_kid.insert(NOT_IN_RING, not_in_ring);
        for (kid, records) in by_kid {
            metrics::gauge!(GAUGE, "kid" => kid.to_owned()).set(records as f64);
        }
        let now_us = self.clock.now().as_micros();
        metrics::gauge!(GAUGE_AT).set((now_us / 1_000_000) as f64);
    }
}

#[cfg(test)]
mod tests;
