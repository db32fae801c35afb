//! The end of one file that somebody else appends to, renames and truncates.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::PathBuf,
};

use nix::fcntl::OFlag;

/// Read at once; a line longer than this is broken in two.
const BLOCK: usize = 16 * 1024;
/// How far back the beginning of the last lines is looked for, in blocks: 16 MiB.
const BLOCKS_BACK: u64 = 1024;

/// One file from its last lines on.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    lines: usize,
    follow: bool,
    reading: Reading,
    block: Vec<u8>,
}

#[derive(Debug)]
enum Reading {
    /// Not looked at yet.
    Untouched,
    /// There is no file; when one appears it is read from its beginning.
    Absent,
    /// In the middle of a file.
    At {
        file: File,
        /// Where the next line begins.
        offset: u64,
        /// Where to stop when nobody follows: what is written later is not read.
        end: u64,
    },
    /// Everything that was asked for has been read.
    Finished,
}

impl Tail {
    /// The last `lines` lines, and what follows them if `follow`. The file need not exist yet.
    pub(super) const fn new(path: PathBuf, lines: usize, follow: bool) -> Self {
        Self { path, lines, follow, reading: Reading::Untouched, block: Vec::new() }
    }

    pub(super) const fn finished(&self) -> bool {
        matches!(self.reading, Reading::Finished)
    }

    /// The next lines that are complete; `None`: no more for now. Only the last line of a file that is not followed, or that
    /// has been replaced, may come without its end.
    pub(super) fn read(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            match &mut self.reading {
                Reading::Finished => return Ok(None),
                Reading::Untouched => self.reading = self.open(Some(self.lines))?,
                Reading::Absent if !self.follow => self.reading = Reading::Finished,
                Reading::Absent => {
                    self.reading = self.open(None)?;
                    if matches!(self.reading, Reading::Absent) {
                        return Ok(None);
                    }
                }
                Reading::At { file, offset, end } => {
                    self.block.resize(BLOCK, 0);
                    let read = file.read_at(&mut self.block, *offset)?;
                    let most = if self.follow { u64::MAX } else { end.saturating_sub(*offset) };
                    let read = read.min(usize::try_from(most).unwrap_or(usize::MAX));
                    let complete = match self.block[..read].iter().rposition(|byte| *byte == b'\n') {
                        Some(newline) => newline + 1,
                        None if read == BLOCK => read,
                        None => 0,
                    };
                    if complete > 0 {
                        *offset += complete as u64;
                        return Ok(Some(&self.block[..complete]));
                    }
                    let next = if self.follow { self.successor()? } else { Some(Reading::Finished) };
                    let Some(next) = next else { return Ok(None) };
                    self.reading = next;
                    if read > 0 {
                        return Ok(Some(&self.block[..read]));
                    }
                }
            }
        }
    }

    /// What to read when this file has no more: itself again where it was truncated, another one where it was replaced.
    fn successor(&self) -> io::Result<Option<Reading>> {
        let Reading::At { file, offset, .. } = &self.reading else { return Ok(None) };
        let here = file.metadata()?;
        if here.len() < *offset {
            return Ok(Some(Reading::At { file: file.try_clone()?, offset: 0, end: 0 }));
        }
        let there = match fs::symlink_metadata(&self.path) {
            // Renamed, and nobody has made a new one yet: the process may still write to the old one.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            there => there?,
        };
        if identity(&here) == identity(&there) { Ok(None) } else { self.open(None).map(Some) }
    }

    fn open(&self, last_lines: Option<usize>) -> io::Result<Reading> {
        // A log is a plain file; whoever puts a link or a pipe there shall not choose what is read.
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Reading::Absent),
            file => file?,
        };
        let end = file.metadata()?.len();
        let offset = match last_lines {
            Some(lines) => beginning_of_last(lines, &file, end)?,
            None => 0,
        };
        Ok(Reading::At { file, offset, end })
    }
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Where the last lines begin, found from the end backwards.
fn beginning_of_last(lines: usize, file: &File, end: u64) -> io::Result<u64> {
    if lines == 0 {
        return Ok(end);
    }
    let mut block = [0; BLOCK];
    let mut missing = lines;
    let mut upper = end;
    for _ in 0..BLOCKS_BACK {
        let lower = upper.saturating_sub(BLOCK as u64);
        let length = usize::try_from(upper - lower).unwrap_or(BLOCK);
        let block = &mut block[..length];
        file.read_exact_at(block, lower)?;
        for (at, byte) in block.iter().enumerate().rev() {
            let after = lower + at as u64 + 1;
            // The end of the last line begins no line.
            if *byte == b'\n' && after < end {
                missing -= 1;
                if missing == 0 {
                    return Ok(after);
                }
            }
        }
        upper = lower;
        if upper == 0 {
            break;
        }
    }
    Ok(upper)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::Path};

    use super::*;

    /// Everything that can be read now.
    fn now(tail: &mut Tail) -> String {
        let mut text = String::new();
        while let Some(lines) = tail.read().unwrap() {
            text.push_str(std::str::from_utf8(lines).unwrap());
        }
        text
    }

    fn write(path: &Path, text: &str) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn half_a_line_is_shown_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut tail = Tail::new(path.clone(), 10, true);
        assert_eq!(now(&mut tail), "");
        write(&path, "one\nha");
        assert_eq!(now(&mut tail), "one\n");
        write(&path, "lf\n");
        assert_eq!(now(&mut tail), "half\n");
    }

    #[test]
    fn half_a_line_of_a_file_that_is_replaced_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        write(&path, "old\nlast");
        let mut tail = Tail::new(path.clone(), 10, true);
        assert_eq!(now(&mut tail), "old\n");
        fs::rename(&path, directory.path().join("log.1")).unwrap();
        // Nobody has made a new file yet, and the process may still finish its line.
        assert_eq!(now(&mut tail), "");
        write(&path, "new\n");
        assert_eq!(now(&mut tail), "lastnew\n");
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        write(&path, "a long line that was there before\n");
        let mut tail = Tail::new(path.clone(), 0, true);
        assert_eq!(now(&mut tail), "");
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        write(&path, "new\n");
        assert_eq!(now(&mut tail), "new\n");
    }

    #[test]
    fn who_does_not_follow_stops_where_the_file_ended_when_it_began() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        write(&path, "one\ntwo\nthr");
        let mut tail = Tail::new(path.clone(), 2, false);
        tail.reading = tail.open(Some(2)).unwrap();
        write(&path, "ee\nfour\n");
        assert_eq!(now(&mut tail), "two\nthr");
        assert!(tail.finished());
    }

    #[test]
    fn the_beginning_of_the_last_lines_is_found_across_blocks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for length in [BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let text = format!("first\n{}\nlast\n", "x".repeat(length));
            fs::write(file.path(), &text).unwrap();
            let end = text.len() as u64;
            let begins = |lines| beginning_of_last(lines, file.as_file(), end).unwrap();
            assert_eq!((begins(0), begins(1), begins(2), begins(3), begins(4)), (end, end - 5, 6, 0, 0), "{length}");
        }
    }
}
