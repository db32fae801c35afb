//! How far the events of the last life are in the database: `events.json` in the state directory, there only while no supervisor runs.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

use super::recorder::write_atomically;
use crate::history::{Ending, Journal};

const FILE: &str = "events.json";

/// Has the journal go on from how the last life ended. A life that was killed leaves nothing behind, and neither does this one until
/// its last events are written.
pub(super) fn begin(directory: &Path, journal: &Journal) {
    journal.go_on_from(take(directory).unwrap_or_else(|error| {
        tracing::warn!(%error, "it cannot be told how the last supervisor ended: events of it may be missing");
        None
    }));
}

fn take(directory: &Path) -> io::Result<Option<Ending>> {
    let path = directory.join(FILE);
    let ending = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // What speaks for the last life must not speak for this one, whatever happens to it.
    fs::remove_file(&path)?;
    File::open(directory)?.sync_all()?;
    Ok(Some(ending))
}

/// This life ends, and the database has all of its events but those that are known to be lost.
pub(super) fn end(directory: &Path, ending: Ending) {
    let written = serde_json::to_vec(&ending).map_err(io::Error::from);
    if let Err(error) = written.and_then(|text| write_atomically(&directory.join(FILE), &text)) {
        tracing::warn!(%error, "who follows events will load everything again after the next start");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_speaks_for_one_life_and_a_life_without_one_has_lost_something() {
        let directory = tempfile::tempdir().unwrap();
        let first = Journal::default();
        begin(directory.path(), &first);
        assert_eq!(first.lost().1, first.last_id(), "nobody knows what was before");
        end(directory.path(), first.ending().unwrap());

        let second = Journal::default();
        begin(directory.path(), &second);
        assert_eq!(second.lost().1, first.lost().1, "what was lost stays lost, and nothing more is");
        let killed_before = Journal::default();
        begin(directory.path(), &killed_before);
        assert_eq!(killed_before.lost().1, killed_before.last_id());
    }

    #[test]
    fn a_damaged_ending_is_none() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        let journal = Journal::default();
        begin(directory.path(), &journal);
        assert_eq!(journal.lost().1, journal.last_id());
    }
}
