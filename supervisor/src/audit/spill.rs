//! Entries that the database has not taken yet: a file of lines that only this process writes.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use super::Entry;

/// Largest file, in bytes. What comes after that is in the log only: a full disk would cost more than the rest of it.
const LARGEST: u64 = 64 * 1024 * 1024;
/// Of that, one caller's entries are so much at most: whoever does the same thing again and again leaves room for others.
const SHARES: u64 = 4;

/// The file.
#[derive(Debug)]
pub(super) struct Spill {
    path: PathBuf,
    largest: u64,
    /// Bytes of each caller's entries since this process began, or since the file was empty.
    taken: Mutex<HashMap<String, u64>>,
}

/// Some of the entries.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) entries: Vec<Entry>,
    /// Where the next part begins; `None`: this is the last one.
    pub(super) next: Option<u64>,
}

impl Spill {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, largest: LARGEST, taken: Mutex::default() }
    }

    /// Adds entries; they are on the disk when this returns. How many were left out because their callers have used up their share.
    pub(super) fn add(&self, entries: &[Entry]) -> io::Result<usize> {
        let (mut text, mut left_out) = (Vec::new(), 0);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let line = serde_json::to_vec(entry)?;
            let share = taken.entry(entry.actor.clone()).or_default();
            if *share + line.len() as u64 > self.largest / SHARES {
                left_out += 1;
                continue;
            }
            *share += line.len() as u64;
            text.extend(line);
            text.push(b'\n');
        }
        drop(taken);
        if text.is_empty() {
            return Ok(left_out);
        }
        let is_new = !self.path.exists();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        let length = file.metadata()?.len();
        if length + text.len() as u64 > self.largest {
            return Err(io::Error::other(format!("{} is full", self.path.display())));
        }
        // A line that an earlier process left half written must not spoil this one; an empty line is nothing.
        if length > 0 {
            text.insert(0, b'\n');
        }
        file.write_all(&text)?;
        file.sync_data()?;
        if let Some(directory) = self.path.parent().filter(|_| is_new) {
            File::open(directory)?.sync_all()?;
        }
        Ok(left_out)
    }

    /// Entries from there on, at most so many. A line that was not written to its end is left out.
    pub(super) fn read(&self, from: u64, most: usize) -> io::Result<Part> {
        let mut entries = Vec::new();
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Part { entries, next: None }),
            Err(error) => return Err(error),
        };
        let mut at = file.seek(SeekFrom::Start(from))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while entries.len() < most {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if length == 0 {
                return Ok(Part { entries, next: None });
            }
            at += length as u64;
            let text = line.trim_ascii_end();
            if text.is_empty() {
                continue;
            }
            match serde_json::from_slice(text) {
                Ok(entry) => entries.push(entry),
                Err(error) => tracing::warn!(%error, "a damaged line of the audit log's file is left out"),
            }
        }
        Ok(Part { entries, next: Some(at) })
    }

    /// Everything in it is somewhere else.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
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

    /// Of everything that is in it, read in small parts.
    pub(in crate::audit) fn names(spill: &Spill) -> Vec<String> {
        let (mut names, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let part = spill.read(at, 2).unwrap();
            assert!(part.entries.len() <= 2);
            names.extend(part.entries.into_iter().map(|entry| entry.entry));
            from = part.next;
        }
        names
    }

    #[test]
    fn what_is_added_is_read_and_a_half_written_line_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let spill = Spill::new(directory.path().join("audit.spill"));
        assert!(names(&spill).is_empty());
        spill.add(&[entry("1"), entry("2")]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&spill.path).unwrap();
        file.write_all(b"{\"entry\":\"3\",\"at\":").unwrap();
        spill.add(&[entry("4")]).unwrap();
        assert_eq!(names(&spill), ["1", "2", "4"]);
        spill.remove().unwrap();
        spill.remove().unwrap();
        assert!(names(&spill).is_empty());
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let directory = tempfile::tempdir().unwrap();
        let largest = 16 * 1024;
        let spill = Spill { largest, ..Spill::new(directory.path().join("audit.spill")) };
        let many: Vec<_> = (0..200).map(|number| entry(&number.to_string())).collect();
        let left_out = spill.add(&many).unwrap();
        let kept = names(&spill).len();
        assert!(left_out > 0 && kept > 0 && left_out + kept == many.len(), "{left_out} and {kept}");
        assert!(fs::metadata(&spill.path).unwrap().len() <= largest / SHARES + 200);
        assert_eq!(spill.add(&[Entry { actor: "uid 1".to_owned(), ..entry("other") }]).unwrap(), 0);
        assert_eq!(names(&spill).last().unwrap(), "other");
        spill.remove().unwrap();
        assert_eq!(spill.add(&[entry("again")]).unwrap(), 0);
    }
}
