//! Counts the stored records and events by the key that seals them.

use std::collections::BTreeMap;

use super::Records;
use crate::{
    domain::crypto::{keyring::Kid, seal},
    ports::store::{ScanCursor, Store, StoreError},
};

/// The number of records or events read per page.
const PAGE: usize = 256;

/// Metric: records in the whole store by key id, as of the latest complete count of this process.
const GAUGE: &str = "countersign_records_by_key";
/// Metric: when that count was completed, in seconds since the Unix epoch.
const GAUGE_AT: &str = "countersign_records_by_key_counted_seconds";
/// Value of the label `kid` for records sealed with a key that is not in the ring, or that name no key.
const NOT_IN_RING: &str = "not_in_ring";

/// What is sealed with one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The number of records by kind.
    pub records: BTreeMap<&'static str, u64>,
    /// The number of events in the audit trail.
    pub events: u64,
}

impl Sealed {
    /// The number of records of all kinds.
    #[must_use]
    pub fn all_records(&self) -> u64 {
        self.records.values().sum()
    }
}

/// What is stored, by key id. The key id is read from the unencrypted head of each seal; the seals are not opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUsage {
    /// By key id; `None` for data that names no key: it is damaged, foreign, or in a newer format.
    pub by_kid: BTreeMap<Option<Kid>, Sealed>,
}

impl KeyUsage {
    /// Counts all records and events of a store.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is known then.
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

/// A count of the records that runs beside the service, page by page.
#[derive(Debug, Default)]
pub struct RecordCount {
    usage: KeyUsage,
    from: ScanCursor,
}

impl Records {
    /// Counts one more page of records, and updates the gauges after the last one; returns whether there are more
    /// pages. Leaves out events: there are many, and the whole of each would have to be read.
    ///
    /// # Errors
    /// [`StoreError`]; the count then starts again.
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
