//! The file to which every trivial worker appends its birth.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    outcome::Outcome,
    patience::Patience,
    record::{Record, SIZE},
};

/// Births in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Births {
    path: PathBuf,
    file: File,
}

impl Births {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        // Workers are users of their own.
        File::create(&path)?.set_permissions(fs::Permissions::from_mode(0o666))?;
        let file = File::open(&path)?;
        Ok(Self { path, file })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many there are.
    pub(crate) fn count(&self) -> io::Result<usize> {
        let length = usize::try_from(self.file.metadata()?.len()).unwrap_or(usize::MAX);
        Ok(length / SIZE)
    }

    /// All after the first `skip`.
    pub(crate) fn after(&self, skip: usize) -> io::Result<Vec<Record>> {
        Ok(fs::read(&self.path)?.chunks_exact(SIZE).skip(skip).map(Record::from_bytes).collect())
    }

    /// The record with this number, counted from 0, as soon as it is there.
    pub(crate) fn wait_for(&self, patience: &Patience, number: usize) -> Outcome<Record> {
        patience.until("a worker's main()", Duration::from_secs(10), Duration::from_micros(500), || {
            let mut bytes = [0; SIZE];
            let offset = u64::try_from(number * SIZE).unwrap_or(u64::MAX);
            self.file.read_exact_at(&mut bytes, offset).map_err(|_| "it was not reached".to_owned())?;
            Ok(Record::from_bytes(&bytes))
        })
    }

    /// Waits until `total` were born; returns those after the first `skip` and when the last of them was born.
    pub(crate) fn wait_for_all(
        &self,
        patience: &Patience,
        skip: usize,
        total: usize,
        limit: Duration,
    ) -> Outcome<(BTreeSet<i32>, u64)> {
        patience.until("all workers' main()", limit, Duration::from_millis(2), || {
            let count = self.count().map_err(|error| error.to_string())?;
            if count < total { Err(format!("{count} of {total} reached it")) } else { Ok(()) }
        })?;
        let records = self.after(skip)?;
        let last = records.iter().map(|record| record.at).max().unwrap_or(0);
        Ok((records.iter().map(|record| record.pid).collect(), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_writes_is_what_is_read() {
        let written = Record { pid: 4121, at: 1 << 60 };
        assert_eq!(Record::from_bytes(&written.to_bytes()), written);
    }
}
