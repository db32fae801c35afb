//! The strikes as they survive a restart: `strikes.json` in the state directory.

use std::{fs, io, path::Path};

use super::recorder::write_atomically;
use crate::poison::Ledger;

const FILE: &str = "strikes.json";

/// Reads them. A missing file is an empty ledger, and so is a damaged one, which is moved aside: without the strikes a poisonous
/// message costs two deaths more, without a supervisor everything stands still.
pub(super) fn read(directory: &Path) -> Ledger {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ledger::default(),
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "strikes not read; every message counts as innocent");
            return Ledger::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        let aside = path.with_extension("damaged");
        tracing::error!(%error, moved_to = %aside.display(), "damaged strikes; every message counts as innocent");
        let _ = fs::rename(&path, &aside);
        Ledger::default()
    })
}

/// Writes all of them.
pub(super) fn write(directory: &Path, strikes: &Ledger) -> io::Result<()> {
    write_atomically(&directory.join(FILE), &serde_json::to_vec(strikes)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use etl_shared::{Verdict, flight::Mark};

    use super::*;
    use crate::poison::{Blame, PassedDeath, Rules};

    #[test]
    fn strikes_survive_and_a_damaged_file_is_moved_aside() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), Ledger::default());
        let mut strikes = Ledger::default();
        let death = PassedDeath {
            worker: "transform-7-1".parse().unwrap(),
            incarnation: 3,
            verdict: Verdict::Crash(6),
            blame: Blame::Own,
            marks: vec![Mark { raw_data_id: 5, fingerprint: u64::MAX }],
        };
        strikes.died(&death, Rules { strikes: 2, window: Duration::from_hours(72) }, SystemTime::now());
        write(directory.path(), &strikes).unwrap();
        assert_eq!(read(directory.path()), strikes);
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(read(directory.path()), Ledger::default());
        assert!(directory.path().join("strikes.damaged").exists());
    }
}
