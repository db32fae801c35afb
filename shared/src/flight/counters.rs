//! What a worker has counted since its process started, in the same file as its flight record but behind it.
//!
//! The record before it is written at every step; this is written after a batch only. It stands at a place of its own, where no
//! record ever reaches, with a version and a checksum of its own: a program that does not know it reads the record as ever, and a
//! worker that does not write it leaves nothing there. Until the first message it takes no memory.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, time::Duration};

use super::{HEADER, MARK, MAX_MARKS, fingerprint};

const MAGIC: u32 = u32::from_le_bytes(*b"ETLC");
const VERSION: u16 = 1;
const PLACE: u64 = (HEADER + MAX_MARKS * MARK) as u64;
const LENGTH: usize = 8 * (3 + BUCKETS + REASONS.len() + 1);

/// Upper bounds of the buckets of [`Counters::durations`], in milliseconds; what takes longer is in one more.
pub const BOUNDS_MS: [u64; 15] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
/// Buckets of durations, each with its own count.
pub const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// Why messages are given up, in the order in which [`Counters::dead_letters`] counts them. New words go to the end, with a new
/// version of the counters.
pub const REASONS: [&str; 12] = [
    "malformed_message",
    "wrong_tenant",
    "foreign_row",
    "integration_mismatch",
    "unknown_type",
    "type_mismatch",
    "raw_row_missing",
    "parent_missing",
    "payload_shape",
    "data_rejected",
    "transform_failed",
    "poison",
];

/// Counts of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// The writer's incarnation.
    pub incarnation: u64,
    /// How many messages took how long, from being taken in hand with their batch until the database had it.
    pub durations: [u64; BUCKETS],
    /// What all of them took together.
    pub duration_micros: u64,
    /// Dead letters by [`REASONS`].
    pub dead_letters: [u64; REASONS.len()],
}

impl Counters {
    /// So many messages took so long, each of them.
    pub fn took(&mut self, messages: u64, duration: Duration) {
        let bucket = BOUNDS_MS.partition_point(|bound| Duration::from_millis(*bound) < duration);
        self.durations[bucket] += messages;
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_micros = self.duration_micros.saturating_add(micros.saturating_mul(messages));
    }

    /// A message was given up for this reason; an unknown one is not counted.
    pub fn given_up(&mut self, reason: &str) {
        if let Some(at) = REASONS.iter().position(|known| *known == reason) {
            self.dead_letters[at] += 1;
        }
    }

    fn encode(&self) -> [u8; LENGTH] {
        let head = u64::from(MAGIC) | u64::from(VERSION) << 32;
        let numbers = [head, self.incarnation, self.duration_micros];
        let numbers = numbers.iter().chain(&self.durations).chain(&self.dead_letters);
        let mut bytes = [0; LENGTH];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = fingerprint(&bytes[..LENGTH - 8]);
        bytes[LENGTH - 8..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default()));
        let mut next = || numbers.next().unwrap_or_default();
        if next() != u64::from(MAGIC) | u64::from(VERSION) << 32 {
            return None;
        }
        let (incarnation, duration_micros) = (next(), next());
        let durations = std::array::from_fn(|_| next());
        let dead_letters = std::array::from_fn(|_| next());
        let read = Self { incarnation, durations, duration_micros, dead_letters };
        (next() == fingerprint(&bytes[..LENGTH - 8])).then_some(read)
    }

    /// What a worker has written; `None` where it has not, or where the reading fell into a write.
    pub fn read(path: &Path) -> Option<Self> {
        Self::read_from(&File::open(path).ok()?)
    }

    /// The same of an open file.
    pub fn read_from(file: &File) -> Option<Self> {
        let mut bytes = [0; LENGTH];
        file.read_exact_at(&mut bytes, PLACE).ok()?;
        Self::decode(&bytes)
    }

    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.encode(), PLACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::{FlightRecord, FlightRecorder, Mark};

    #[test]
    fn counters_and_a_full_record_stand_beside_each_other() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = FlightRecorder::over(Some(file.reopen().unwrap().into()));
        let marks = vec![Mark { raw_data_id: -1, fingerprint: u64::MAX }; MAX_MARKS];
        let record = FlightRecord { incarnation: 3, marks, ..FlightRecord::default() };
        recorder.write(&record);
        assert_eq!(Counters::read(file.path()), None, "a worker that does not count");
        let mut counters = Counters { incarnation: 3, ..Counters::default() };
        counters.took(2, Duration::from_millis(1));
        counters.took(1, Duration::from_micros(1_001));
        counters.took(1, Duration::from_hours(1));
        counters.given_up("poison");
        counters.given_up("whatever");
        recorder.write_counters(&counters);
        recorder.write(&record);
        let read = Counters::read(file.path()).unwrap();
        assert_eq!(read, counters);
        assert_eq!((read.durations[0], read.durations[1], read.durations[BUCKETS - 1]), (2, 1, 1));
        assert_eq!(read.duration_micros, 2_000 + 1_001 + 3_600_000_000);
        assert_eq!(read.dead_letters.iter().sum::<u64>(), 1);
        assert_eq!(FlightRecord::read(file.path()).unwrap(), record);
    }

    #[test]
    fn no_damaged_counters_are_taken_for_real_ones() {
        let bytes = Counters { incarnation: 3, duration_micros: 5, ..Counters::default() }.encode();
        assert!(Counters::decode(&bytes).is_some());
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 0x40;
            assert!(Counters::decode(&damaged).is_none(), "byte {at}");
        }
    }
}
