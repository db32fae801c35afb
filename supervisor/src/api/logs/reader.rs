//! Reads the logs of several workers, a piece at a time.

use std::{io, path::PathBuf};

use etl_shared::WorkerName;

use super::tail::Tail;

/// Bytes after which a piece is handed out.
const PIECE: usize = 32 * 1024;

/// The logs of one tenant.
#[derive(Debug)]
pub(super) struct Reader {
    directory: PathBuf,
    lines: usize,
    follow: bool,
    /// The one that comes first the next time is the first.
    tails: Vec<(WorkerName, Tail)>,
}

impl Reader {
    /// The last `lines` lines of every log, and what is written afterwards if `follow`.
    pub(super) const fn new(directory: PathBuf, lines: usize, follow: bool) -> Self {
        Self { directory, lines, follow, tails: Vec::new() }
    }

    /// Adds the workers that are not read yet. Those that are gone stay: they may have left last words.
    pub(super) fn watch<'a>(&mut self, workers: impl Iterator<Item = &'a WorkerName>) {
        for worker in workers {
            if !self.tails.iter().any(|(name, _)| name == worker) {
                let path = self.directory.join(format!("{worker}.log"));
                self.tails.push((worker.clone(), Tail::new(path, self.lines, self.follow)));
            }
        }
    }

    /// Whether there will be nothing more.
    pub(super) fn finished(&self) -> bool {
        !self.follow && self.tails.iter().all(|(_, tail)| tail.finished())
    }

    /// What is there now, at most about [`PIECE`] bytes of whole lines. With several workers each line names its own. Those
    /// that are followed take turns to be the first: one that writes faster than the client reads would else be the only one.
    pub(super) fn read(&mut self) -> io::Result<Vec<u8>> {
        let several = self.tails.len() > 1;
        let mut piece = Vec::new();
        for (worker, tail) in &mut self.tails {
            let label = if several { format!("{worker} | ") } else { String::new() };
            while piece.len() < PIECE {
                let Some(lines) = tail.read()? else { break };
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    piece.extend_from_slice(label.as_bytes());
                    piece.extend_from_slice(line);
                }
                if !lines.ends_with(b"\n") {
                    piece.push(b'\n');
                }
            }
        }
        if self.follow && several {
            self.tails.rotate_left(1);
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two workers, of whom the first has written more than two pieces hold, and a reader of all of it.
    fn crew(directory: &std::path::Path, follow: bool) -> Reader {
        fs::write(directory.join("transform-7-1.log"), "much\n".repeat(PIECE)).unwrap();
        fs::write(directory.join("transform-7-2.log"), "little\n").unwrap();
        let mut reader = Reader::new(directory.to_owned(), PIECE, follow);
        reader.watch(["transform-7-1", "transform-7-2"].map(|name| name.parse().unwrap()).iter());
        reader
    }

    fn names_the_second(reader: &mut Reader) -> bool {
        String::from_utf8(reader.read().unwrap()).unwrap().contains("transform-7-2 | little\n")
    }

    #[test]
    fn a_worker_that_writes_all_the_time_does_not_keep_the_others_out() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = crew(directory.path(), true);
        assert!(!names_the_second(&mut reader), "the first piece is full");
        assert!(names_the_second(&mut reader));
    }

    #[test]
    fn what_is_not_followed_comes_one_log_after_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let mut reader = crew(directory.path(), false);
        assert!(!names_the_second(&mut reader), "the first piece is full");
        assert!(!names_the_second(&mut reader), "the first log goes on");
    }
}
