//! The strikes as they survive a restart: `strikes.json` in the state directory.

use std::{error::Error, fs, io, path::Path};

use super::recorder::write_atomically;
use crate::poison::Ledger;

const FILE: &str = "strikes.json";

/// Reads them. A missing file is an empty ledger, and so is one that is damaged or cannot be read, which is moved aside: without the strikes a poisonous
/// message costs two deaths more, without a supervisor everything stands still.
pub(super) fn read(directory: &Path) -> Ledger {
    let path = directory.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ledger::default(),
        Err(error) => {
            return without(&path, &error);
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| without(&path, &error))
}

fn without(path: &Path, error: &(dyn Error + 'static)) -> Ledger {
    let (shown, aside) = (path.display(), path.with_extension("damaged"));
    tracing::error!(error, path = %shown, moved_to = %aside.display(), "strikes not read; every message counts as innocent");
    if let Err(error) = fs::rename(path, &aside) {
        tracing::error!(%error, path = %shown, "nor could they be moved aside: the next strike overwrites them");
    }
    Ledger::default()
}

/// Writes all of them.
pub(super) fn write(directory: &Path, strikes: &Ledger) -> io::Result<()> {
    write_atomically(&directory.join(FILE), &serde_json::to_vec(strikes)?)
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, SystemTime};

    use etl_shared::{Verdict, flight::Mark};

    use super::*;
    use crate::poison::{Blame, PassedDeath, Rules};

    pub(in crate::runtime) fn death() -> PassedDeath {
        PassedDeath {
            worker: "transform-7-1".parse().unwrap(),
            incarnation: 3,
            verdict: Verdict::Crash(6),
            blame: Blame::Own,
            marks: vec![Mark { raw_data_id: 5, fingerprint: u64::MAX }],
        }
    }

    #[test]
    fn strikes_survive_and_a_damaged_file_is_moved_aside() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), Ledger::default());
        let mut strikes = Ledger::default();
        strikes.died(&death(), Rules { strikes: 2, window: Duration::from_hours(72) }, SystemTime::now());
        write(directory.path(), &strikes).unwrap();
        assert_eq!(read(directory.path()), strikes);
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(read(directory.path()), Ledger::default());
        assert!(directory.path().join("strikes.damaged").exists());
    }

    #[test]
    fn what_cannot_be_read_is_moved_aside_before_the_next_strike_overwrites_it() {
        let directory = tempfile::tempdir().unwrap();
        // Nobody can read it, whatever the rights of whoever runs this test.
        fs::create_dir(directory.path().join(FILE)).unwrap();
        assert_eq!(read(directory.path()), Ledger::default());
        assert!(directory.path().join("strikes.damaged").is_dir() && !directory.path().join(FILE).exists());
    }
}
