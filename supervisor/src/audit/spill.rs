//! Entries that the database has not taken yet: a file of lines that only this process writes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use super::Entry;

/// Largest file, in bytes. What comes after that is in the log only: a full disk would cost more than the rest of it.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The file.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
}

impl Spill {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Adds entries; they are on the disk when this returns.
    pub(super) fn add(&self, entries: &[Entry]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut text, entry)?;
            text.push(b'\n');
        }
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        if length + text.len() as u64 > LARGEST {
            return Err(io::Error::other(format!("{} is full", self.path.display())));
        }
        // A line that an earlier process left half written must not spoil this one; an empty line is nothing.
        if length > 0 {
            text.insert(0, b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        match self.path.parent() {
            Some(directory) if is_new => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    }

    /// Everything that is in it. A line that was not written to its end is left out.
    pub(super) fn read(&self) -> io::Result<Vec<Entry>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            let line = line?;
            if line.is_empty() {
                continue;
            }
            match serde_json::from_slice(&line) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::warn!(%error, "a damaged line of the audit log's file is left out"),
            }
        }
        Ok(entries)
    }

    /// Everything in it is somewhere else.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use etl_shared::api::AuditResult;
    use serde_json::json;

    use super::*;

    pub(in crate::audit) fn entry(name: &str) -> Entry {
        Entry {
            entry: name.to_owned(),
            at: "2026-11-23T21:00:00Z".to_owned(),
            actor: "uid 0".to_owned(),
            role: None,
            source: "unix".to_owned(),
            action: "workers.stop".to_owned(),
            tenant_id: None,
            result: AuditResult::Ok,
            status: 202,
            detail: json!({"text": "two\nlines"}),
            correlation_id: None,
        }
    }

    #[test]
    fn what_is_added_is_read_and_a_half_written_line_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::new(directory.path().join("audit.spill"));
        assert_eq!(spill.read().unwrap(), []);
        spill.add(&[entry("1"), entry("2")]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&spill.path).unwrap();
        file.write_all(b"{\"entry\":\"3\",\"at\":").unwrap();
        spill.add(&[entry("4")]).unwrap();
        let names: Vec<_> = spill.read().unwrap().into_iter().map(|entry| entry.entry).collect();
        assert_eq!(names, ["1", "2", "4"]);
        spill.remove().unwrap();
        spill.remove().unwrap();
        assert_eq!(spill.read().unwrap(), []);
    }
}
