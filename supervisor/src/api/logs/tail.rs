//! The end of what one worker has written, while its processes go on writing and the keeper moves what is old to other files.

use std::{
    collections::VecDeque,
    fs::symlink_metadata,
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use super::chain::{self, Found, Piece};
use crate::worker_log::Extent;

/// Read at once; a line longer than this is broken in two.
const BLOCK: usize = 16 * 1024;
/// How far back the beginning of the last lines is looked for, in blocks: 16 MiB.
const BLOCKS_BACK: usize = 1024;

/// One worker's output from its last lines on.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    lines: usize,
    follow: bool,
    reading: Reading,
    /// What was handed out last, and behind it the beginning of a line that is not whole yet.
    rest: Vec<u8>,
    handed_out: usize,
    /// The line in `rest` will not be continued.
    rest_ends: bool,
}

#[derive(Debug)]
enum Reading {
    /// Not looked at yet.
    Untouched,
    /// There is no file; when one appears it is read from its beginning.
    Absent,
    /// In the middle of the first of these; the last one may be the file that is being written.
    At(VecDeque<Piece>),
    /// Everything that was asked for has been read.
    Finished,
}

impl Tail {
    /// The last `lines` lines, and what follows them if `follow`. The file need not exist yet.
    pub(super) const fn new(path: PathBuf, lines: usize, follow: bool) -> Self {
        let reading = Reading::Untouched;
        Self { path, lines, follow, reading, rest: Vec::new(), handed_out: 0, rest_ends: false }
    }

    pub(super) const fn finished(&self) -> bool {
        matches!(self.reading, Reading::Finished)
    }

    /// The next lines that are complete; `None`: no more for now. Only the last line of a file that is not followed, or that
    /// has been replaced, may come without its end.
    pub(super) fn read(&mut self) -> io::Result<Option<&[u8]>> {
        self.rest.drain(..self.handed_out);
        self.handed_out = 0;
        loop {
            self.handed_out = match self.rest.iter().rposition(|byte| *byte == b'\n') {
                Some(newline) => newline + 1,
                None if self.rest_ends || self.rest.len() >= BLOCK => self.rest.len(),
                None => 0,
            };
            if self.handed_out > 0 {
                return Ok(Some(&self.rest[..self.handed_out]));
            }
            self.rest_ends = false;
            if !self.read_on()? {
                return Ok(None);
            }
        }
    }

    /// Takes a step; `false`: there is none to take for now.
    fn read_on(&mut self) -> io::Result<bool> {
        match &mut self.reading {
            Reading::Finished => return Ok(false),
            Reading::Untouched => self.reading = self.begin()?,
            Reading::Absent if !self.follow => self.reading = Reading::Finished,
            Reading::Absent => {
                self.reading = opened(chain::all(&self.path)?, true);
                return Ok(!matches!(self.reading, Reading::Absent));
            }
            Reading::At(pieces) => {
                let Some(piece) = pieces.front_mut() else {
                    self.reading = Reading::Absent;
                    return Ok(true);
                };
                let before = self.rest.len();
                self.rest.resize(before + BLOCK, 0);
                let found = piece.read(&mut self.rest[before..]);
                self.rest.truncate(before + if let Ok(Found::Bytes(read)) = &found { *read } else { 0 });
                match found? {
                    Found::Bytes(0) => return self.next_piece(),
                    Found::Bytes(read) => piece.at += read as u64,
                    Found::Removed(first) => {
                        let older = chain::between(&self.path, piece.stream, piece.at, first.min(piece.until))?;
                        piece.at = first.min(piece.until);
                        older.into_iter().rev().for_each(|older| pieces.push_front(older));
                    }
                    Found::Truncated(first) => {
                        piece.at = first;
                        self.rest_ends = true;
                    }
                }
            }
        }
        Ok(true)
    }

    /// The first piece has no more: goes on with the next one, where there is one.
    fn next_piece(&mut self) -> io::Result<bool> {
        let Reading::At(pieces) = &mut self.reading else { return Ok(false) };
        if pieces.len() > 1 {
            let ended = pieces.pop_front();
            self.rest_ends = ended.map(|piece| piece.stream) != pieces.front().map(|piece| piece.stream);
            return Ok(true);
        }
        let Some(piece) = pieces.front_mut().filter(|_| self.follow) else {
            self.reading = Reading::Finished;
            self.rest_ends = true;
            return Ok(true);
        };
        let here = piece.file.metadata()?;
        let there = match symlink_metadata(&self.path) {
            // Renamed, and nobody has made a new one yet: the process may still write to the old one.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
            return Ok(false);
        }
        let Reading::At(newer) = opened(chain::after(&self.path, piece.stream)?, true) else { return Ok(false) };
        // What it was given before the other file was begun.
        piece.until = Extent::of(&piece.file)?.end.max(piece.at);
        pieces.extend(newer);
        Ok(true)
    }

    fn begin(&self) -> io::Result<Reading> {
        loop {
            if let Some(pieces) = last_lines(self.lines, chain::all(&self.path)?)? {
                return Ok(opened(pieces, self.follow));
            }
        }
    }
}

fn opened(mut pieces: Vec<Piece>, follow: bool) -> Reading {
    match pieces.last_mut() {
        None => return Reading::Absent,
        Some(last) if follow => last.until = u64::MAX,
        // What is written later is not read.
        Some(_) => {}
    }
    Reading::At(pieces.into())
}

/// What holds the last lines, found from the end backwards; `None`: something has been moved to another file meanwhile.
fn last_lines(lines: usize, mut pieces: Vec<Piece>) -> io::Result<Option<Vec<Piece>>> {
    let mut found = Vec::new();
    let mut search = Search { missing: lines, blocks: BLOCKS_BACK, seen_any: false };
    while let Some(mut piece) = pieces.pop() {
        let Some(begin) = search.in_piece(&mut piece)? else { return Ok(None) };
        piece.at = begin;
        found.push(piece);
        if search.missing == 0 || search.blocks == 0 {
            break;
        }
    }
    found.reverse();
    Ok(Some(found))
}

struct Search {
    /// Beginnings of lines that have not been found.
    missing: usize,
    /// Most blocks that are still read.
    blocks: usize,
    /// The end of the last line begins no line.
    seen_any: bool,
}

impl Search {
    /// Where to begin in this piece.
    fn in_piece(&mut self, piece: &mut Piece) -> io::Result<Option<u64>> {
        let (first, end) = (piece.at, piece.until);
        let mut upper = end;
        let mut block = [0; BLOCK];
        while self.missing > 0 && self.blocks > 0 && upper > first {
            self.blocks -= 1;
            (piece.at, piece.until) = (upper.saturating_sub(BLOCK as u64).max(first), upper);
            let Found::Bytes(read) = piece.read(&mut block)? else { return Ok(None) };
            for (at, byte) in block[..read].iter().enumerate().rev() {
                if *byte == b'\n' && self.seen_any {
                    self.missing -= 1;
                    if self.missing == 0 {
                        upper = piece.at + at as u64 + 1;
                        piece.until = end;
                        return Ok(Some(upper));
                    }
                }
                self.seen_any = true;
            }
            upper = piece.at;
        }
        piece.until = end;
        Ok(Some(upper))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, OpenOptions},
        io::Write,
        path::Path,
    };

    use super::*;
    use crate::worker_log::older;

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
        tail.reading = tail.begin().unwrap();
        write(&path, "ee\nfour\n");
        assert_eq!(now(&mut tail), "two\nthr");
        assert!(tail.finished());
    }

    #[test]
    fn the_last_lines_are_found_across_blocks_and_files() {
        for length in [BLOCK - 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
            let text = format!("first\n{}\nlast\n", "x".repeat(length));
            for cut in [0, 3, 6, 7, 6 + length, 7 + length, 9 + length, text.len()] {
                let directory = tempfile::tempdir().unwrap();
                let path = directory.path().join("log");
                write(&older(&path, 1), &text[..cut]);
                write(&path, &text[cut..]);
                let last = |lines| now(&mut Tail::new(path.clone(), lines, false));
                let expected = |lines| {
                    text.split_inclusive('\n')
                        .rev()
                        .take(lines)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                        .collect::<String>()
                };
                for lines in 0..5 {
                    assert!(last(lines) == expected(lines), "{lines} of {length} cut at {cut}");
                }
            }
        }
    }
}
