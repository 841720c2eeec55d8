//! Migrates a file from an older format to the current one.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::tables::{DUE, EVENTS, RECORDS, Row};
use crate::domain::{ids::SubjectKey, record::key::RecordKey};

/// The format of version 0.1. Its keys had no kind, only the 16 bytes of a hash. Side records lie among the subjects'
/// records and only their seals tell them apart, so the migration leaves them there; the vault finds them later.
pub(super) const FORMAT_1: u64 = 1;

const RECORDS_1: TableDefinition<&[u8; 16], Row> = TableDefinition::new("records.v1");
const DUE_1: TableDefinition<(u64, &[u8; 16]), ()> = TableDefinition::new("due.v1");
const EVENTS_1: TableDefinition<u64, (u64, &[u8; 16], &[u8])> = TableDefinition::new("events.v1");

/// The number of rows copied, per table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Migrated {
    pub(super) records: u64,
    pub(super) events: u64,
}

/// Copies the tables of format 1 and deletes them, in the transaction that also writes the new format number: after a
/// crash before its commit, format 1 is unchanged.
pub(super) fn from_format_1(write: &WriteTransaction) -> Result<Migrated, redb::Error> {
    let mut migrated = Migrated {
        records: 0,
        events: 0,
    };
    {
        let (old, mut new) = (write.open_table(RECORDS_1)?, write.open_table(RECORDS)?);
        for row in old.iter()? {
            let (key, row) = row?;
            new.insert(&subject(key.value()), row.value())?;
            migrated.records += 1;
        }
        let (old, mut new) = (write.open_table(DUE_1)?, write.open_table(DUE)?);
        for entry in old.iter()? {
            let (entry, _) = entry?;
            let (at, key) = entry.value();
            new.insert((at, &subject(key)), ())?;
        }
        let (old, mut new) = (write.open_table(EVENTS_1)?, write.open_table(EVENTS)?);
        for event in old.iter()? {
            let (cursor, event) = event?;
            let (at, key, sealed) = event.value();
            new.insert(cursor.value(), (at, &subject(key), sealed))?;
            migrated.events += 1;
        }
    }
    write.delete_table(RECORDS_1)?;
    write.delete_table(DUE_1)?;
    write.delete_table(EVENTS_1)?;
    Ok(migrated)
}

fn subject(key: &[u8; 16]) -> [u8; 17] {
    RecordKey::from(SubjectKey(*key)).to_bytes()
}

#[cfg(test)]
pub(super) mod tests;
