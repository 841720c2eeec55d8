//! Creates the tables on first use, migrates older files, and tells this store from a restored copy of it.

use std::{fs, io, path::Path, time::Instant};

use redb::{Database, ReadableTable, TableError, WriteTransaction};

use super::{
    file,
    migrate::{FORMAT_1, Migrated, from_format_1},
    opened::Opened,
    tables::{FORMAT, FORMAT_KEY, GENERATION_KEY, IDS, NUMBERS, Tables},
};
use crate::{
    domain::time::Generation,
    ports::system::{Entropy, fresh},
    store::open_error::OpenCause,
};

/// The file in the data folder that holds the generation in hexadecimal. It must never be part of a backup: the
/// missing or different file is what shows that the database was restored.
pub(super) const GENERATION_FILE: &str = "generation";

/// The state of the database before setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Empty,
    Present,
    Older(Migrated),
}

/// Brings the database into the current format and determines its generation: the stored one if database and file
/// agree, otherwise a new one. All in one transaction.
pub(super) fn set_up(
    db: &Database,
    data_dir: &Path,
    entropy: &dyn Entropy,
) -> Result<Generation, OpenCause> {
    let started = Instant::now();
    let path = data_dir.join(GENERATION_FILE);
    let in_file = read_generation(&path).map_err(file::cause(&path))?;
    let write = db.begin_write()?;
    let before = set_format(&write)?;
    Tables::open(&write)?;
    let in_database = write
        .open_table(IDS)?
        .get(GENERATION_KEY)?
        .map(|id| Generation(*id.value()));
    if before == Before::Empty && in_file.is_some() {
        write.abort()?;
        return Err(OpenCause::Lost {
            generation_file: path,
        });
    }
    let known = in_database.filter(|known| in_file == Some(*known));
    let generation = known.unwrap_or_else(|| Generation(fresh(entropy)));
    if known.is_some() && before == Before::Present {
        write.abort()?;
        return Ok(generation);
    }
    if known.is_none() {
        write
            .open_table(IDS)?
            .insert(GENERATION_KEY, &generation.0)?;
    }
    write.commit()?;
    if let Before::Older(Migrated { records, events }) = before {
        let duration_ms = started.elapsed().as_millis();
        tracing::info!(
            from = FORMAT_1,
            to = FORMAT,
            records,
            events,
            duration_ms,
            "store file migrated"
        );
    }
    if known.is_none() {
        if before != Before::Empty {
            tracing::warn!(
                file = %path.display(),
                "database and generation file disagree, so the database may be a restored copy; live verifications must start again"
            );
        }
        // After a crash before this line, database and file differ, and the next opening makes a new generation.
        file::replace(&path, &format!("{}\n", hex::encode(generation.0)))
            .map_err(file::cause(&path))?;
    }
    Ok(generation)
}

/// Writes the format number into an empty database, checks it, or migrates an older format.
fn set_format(write: &WriteTransaction) -> Result<Before, OpenCause> {
    let is_new = write.list_tables()?.next().is_none();
    let mut numbers = write.open_table(NUMBERS)?;
    let found = numbers.get(FORMAT_KEY)?.map(|found| found.value());
    let before = match found {
        Some(FORMAT) => return Ok(Before::Present),
        Some(FORMAT_1) => Before::Older(from_format_1(write)?),
        Some(found) => return Err(unknown(found)),
        None if is_new => Before::Empty,
        None => return Err(OpenCause::Foreign),
    };
    numbers.insert(FORMAT_KEY, FORMAT)?;
    Ok(before)
}

/// Checks the format number; changes nothing.
pub(super) fn check_format(db: &Opened) -> Result<(), OpenCause> {
    let read = db.begin_read()?;
    let found = match read.open_table(NUMBERS) {
        Ok(numbers) => numbers.get(FORMAT_KEY)?.map(|found| found.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    };
    match found {
        Some(FORMAT) => Ok(()),
        Some(FORMAT_1) => Err(OpenCause::Older {
            found: FORMAT_1,
            known: FORMAT,
        }),
        Some(found) => Err(unknown(found)),
        None => Err(OpenCause::Foreign),
    }
}

fn unknown(found: u64) -> OpenCause {
    OpenCause::Format {
        found,
        known: FORMAT,
    }
}

/// `None` if the file is missing or contains no generation.
fn read_generation(path: &Path) -> io::Result<Option<Generation>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut id = [0; 16];
    Ok(hex::decode_to_slice(text.trim_ascii(), &mut id)
        .is_ok()
        .then_some(Generation(id)))
}
