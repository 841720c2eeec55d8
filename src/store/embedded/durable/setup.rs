//! Makes the tables at first use, and tells this store from a restored copy of it.

use std::{fs, io, path::Path};

use redb::{Database, ReadableTable, WriteTransaction};

use super::{
    file,
    tables::{FORMAT, FORMAT_KEY, GENERATION_KEY, IDS, NUMBERS, Tables},
};
use crate::{
    domain::time::Generation,
    ports::system::{Entropy, fresh},
    store::open_error::OpenCause,
};

/// The file in the data folder that holds the generation as hex. It must never be part of a backup.
pub(super) const GENERATION_FILE: &str = "generation";

/// Checks the format and settles the generation, which is a new one unless the database and the file agree.
pub(super) fn set_up(
    db: &Database,
    data_dir: &Path,
    entropy: &dyn Entropy,
) -> Result<Generation, OpenCause> {
    let path = data_dir.join(GENERATION_FILE);
    let in_file = read_generation(&path).map_err(file::cause(&path))?;
    let write = db.begin_write()?;
    let is_new = set_format(&write)?;
    Tables::open(&write)?;
    let in_database = write
        .open_table(IDS)?
        .get(GENERATION_KEY)?
        .map(|id| Generation(*id.value()));
    let generation = match (in_database, in_file) {
        (Some(known), Some(same)) if known == same => known,
        (Some(_) | None, Some(_) | None) => Generation(fresh(entropy)),
    };
    if in_database == Some(generation) {
        write.abort()?;
        return Ok(generation);
    }
    if !is_new {
        tracing::warn!(
            file = %path.display(),
            "the database and this file disagree, so the database may be a restored copy: live verifications must start again"
        );
    }
    write
        .open_table(IDS)?
        .insert(GENERATION_KEY, &generation.0)?;
    write.commit()?;
    // A crash before this line leaves two that differ: the next opening makes a new one again.
    file::replace(&path, &format!("{}\n", hex::encode(generation.0)))
        .map_err(file::cause(&path))?;
    Ok(generation)
}

/// Writes the format into an empty database, or checks it; says whether the database was empty.
fn set_format(write: &WriteTransaction) -> Result<bool, OpenCause> {
    let is_new = write.list_tables()?.next().is_none();
    let mut numbers = write.open_table(NUMBERS)?;
    let found = numbers.get(FORMAT_KEY)?.map(|found| found.value());
    match found {
        Some(FORMAT) => {}
        Some(found) => {
            return Err(OpenCause::Format {
                found,
                known: FORMAT,
            });
        }
        None if is_new => {
            numbers.insert(FORMAT_KEY, FORMAT)?;
        }
        None => return Err(OpenCause::Foreign),
    }
    Ok(is_new)
}

/// A file that holds no generation is as good as none.
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
