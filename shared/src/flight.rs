//! The flight record: a small file on tmpfs in which a worker says what it is doing, so that whoever finds it dead knows.
//!
//! One `pwrite` a step, no mapping and no lock: when the process dies, the last complete step stands there. A record may be
//! read while it is being written, so it carries a checksum.

use std::{
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::fs::FileExt},
    path::Path,
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::{environment::FLIGHT_FD, inherited_fd};

pub mod counters;

use counters::Counters;

const MAGIC: u32 = u32::from_le_bytes(*b"ETLF");
const VERSION: u16 = 2;
/// The oldest version that can still be read: it left zero where [`FlightRecord::since_ms`] stands now.
const OLDEST: u16 = 1;
const HEADER: usize = 88;
const SINCE: usize = 64;
const MARK: usize = 16;

/// Most messages that one record names; a batch is never larger.
pub const MAX_MARKS: usize = 512;

/// What the worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Phase {
    /// Not consuming yet.
    #[default]
    Starting = 0,
    /// Consuming, with nothing in hand.
    Idle = 1,
    /// One message in hand: the only one in the marks.
    Transforming = 2,
    /// Writing and committing: every message of the batch is in the marks.
    Committing = 3,
    /// Broker or database is away; nothing in hand.
    Holding = 4,
    /// Taking no new messages because it was asked not to.
    Paused = 5,
    /// Finishing what is in flight before it leaves.
    Draining = 6,
}

impl Phase {
    /// The word for it, as in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Transforming => "transforming",
            Self::Committing => "committing",
            Self::Holding => "holding",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// Whether the marks are messages that the process was at work on, so that its death is held against them.
    pub const fn has_messages_in_hand(self) -> bool {
        matches!(self, Self::Transforming | Self::Committing)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Starting,
            1 => Self::Idle,
            2 => Self::Transforming,
            3 => Self::Committing,
            4 => Self::Holding,
            5 => Self::Paused,
            6 => Self::Draining,
            _ => return None,
        })
    }
}

/// Names one message: a strike is counted against this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The raw row, 0 where the message names none.
    pub raw_data_id: i64,
    /// [`fingerprint`] of the body.
    pub fingerprint: u64,
}

/// One state of the record.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlightRecord {
    /// The writer's pid.
    pub pid: u32,
    /// The writer's incarnation.
    pub incarnation: u64,
    /// What it is doing.
    pub phase: Phase,
    /// When this was written: milliseconds since 1970.
    pub heartbeat_ms: u64,
    /// Since when the phase and the marks are what they are, by [`monotonic_ms`]; 0 where an older worker does not say.
    pub since_ms: u64,
    /// Messages done since the process started.
    pub done: u64,
    /// Messages dead-lettered since the process started.
    pub dead_lettered: u64,
    /// Messages held for another try since the process started.
    pub retried: u64,
    /// Messages delivered and not settled yet.
    pub in_flight: u32,
    /// The messages in hand.
    pub marks: Vec<Mark>,
}

/// The file does not hold a record.
#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    /// It cannot be read.
    #[error("cannot read the flight record")]
    Io(#[from] io::Error),
    /// Nothing has been written yet.
    #[error("the flight record is empty")]
    Empty,
    /// It is torn (read while being written), or written by something else.
    #[error("the flight record is not complete")]
    Damaged,
}

/// 64-bit FNV-1a of a message body: the same for the same bytes in every version of the program, and good enough to tell
/// the messages of one queue apart; it is no protection against somebody who wants a collision.
pub fn fingerprint(body: &[u8]) -> u64 {
    body.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Milliseconds of a clock that is never set and stands still while the machine sleeps (`CLOCK_MONOTONIC`), the same for
/// every process of this boot.
pub fn monotonic_ms() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl FlightRecord {
    fn encode(&self, buffer: &mut Vec<u8>) {
        let marks = &self.marks[..self.marks.len().min(MAX_MARKS)];
        buffer.clear();
        buffer.extend_from_slice(&MAGIC.to_le_bytes());
        buffer.extend_from_slice(&VERSION.to_le_bytes());
        buffer.push(self.phase as u8);
        buffer.push(0);
        buffer.extend_from_slice(&self.pid.to_le_bytes());
        buffer.extend_from_slice(&u32::try_from(marks.len()).unwrap_or(0).to_le_bytes());
        for number in [self.incarnation, self.heartbeat_ms, self.done, self.dead_lettered, self.retried] {
            buffer.extend_from_slice(&number.to_le_bytes());
        }
        buffer.extend_from_slice(&self.in_flight.to_le_bytes());
        buffer.resize(SINCE, 0);
        buffer.extend_from_slice(&self.since_ms.to_le_bytes());
        buffer.resize(HEADER - 8, 0);
        let checksum_at = buffer.len();
        buffer.extend_from_slice(&[0; 8]);
        for mark in marks {
            buffer.extend_from_slice(&mark.raw_data_id.to_le_bytes());
            buffer.extend_from_slice(&mark.fingerprint.to_le_bytes());
        }
        let checksum = fingerprint(buffer);
        buffer[checksum_at..checksum_at + 8].copy_from_slice(&checksum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, FlightError> {
        if bytes.is_empty() {
            return Err(FlightError::Empty);
        }
        let u32_at = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let u64_at = |at: usize| {
            bytes.get(at..at + 8).map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        };
        let read = || {
            let version = u16::from_le_bytes([*bytes.get(4)?, *bytes.get(5)?]);
            let count = u32_at(12)? as usize;
            if u32_at(0)? != MAGIC || !(OLDEST..=VERSION).contains(&version) || count > MAX_MARKS {
                return None;
            }
            let mut whole = bytes.get(..HEADER + count * MARK)?.to_vec();
            whole[HEADER - 8..HEADER].fill(0);
            if fingerprint(&whole) != u64_at(HEADER - 8)? {
                return None;
            }
            let marks = (0..count).map(|n| {
                let at = HEADER + n * MARK;
                #[expect(clippy::cast_possible_wrap, reason = "the same 64 bits that were written")]
                Some(Mark { raw_data_id: u64_at(at)? as i64, fingerprint: u64_at(at + 8)? })
            });
            Some(Self {
                phase: Phase::from_byte(bytes[6])?,
                pid: u32_at(8)?,
                incarnation: u64_at(16)?,
                heartbeat_ms: u64_at(24)?,
                done: u64_at(32)?,
                dead_lettered: u64_at(40)?,
                retried: u64_at(48)?,
                in_flight: u32_at(56)?,
                since_ms: u64_at(SINCE)?,
                marks: marks.collect::<Option<_>>()?,
            })
        };
        read().ok_or(FlightError::Damaged)
    }

    /// Reads the record of a worker, once more where the first reading fell into a write.
    pub fn read(path: &Path) -> Result<Self, FlightError> {
        let mut last = FlightError::Empty;
        for _ in 0..3 {
            // As large as a record can be, so that one read has it whole.
            let mut bytes = [0; HEADER + MAX_MARKS * MARK];
            let length = File::open(path)?.read(&mut bytes)?;
            match Self::decode(&bytes[..length]) {
                Err(FlightError::Damaged) => last = FlightError::Damaged,
                other => return other,
            }
        }
        Err(last)
    }
}

/// The worker's end: writes the record, or does nothing where there is no supervisor that would read it.
#[derive(Debug)]
pub struct FlightRecorder {
    file: Option<File>,
    buffer: Vec<u8>,
}

impl FlightRecorder {
    /// The record left open by the supervisor; without one, a recorder that writes nowhere.
    pub fn inherited() -> Self {
        Self::over(inherited_fd::take(FLIGHT_FD))
    }

    /// Over an open file, or over nothing.
    pub fn over(file: Option<OwnedFd>) -> Self {
        Self { file: file.map(File::from), buffer: Vec::new() }
    }

    /// Writes one step. A failure is not an error of the work: the record serves only those who come after.
    pub fn write(&mut self, record: &FlightRecord) {
        if let Some(file) = &self.file {
            record.encode(&mut self.buffer);
            if let Err(error) = file.write_all_at(&self.buffer, 0) {
                tracing::debug!(%error, "flight record not written");
            }
        }
    }

    /// Writes what has been counted, behind the record.
    pub fn write_counters(&mut self, counters: &Counters) {
        if let Some(file) = &self.file
            && let Err(error) = counters.write(file)
        {
            tracing::debug!(%error, "counters not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> FlightRecord {
        FlightRecord {
            pid: 4121,
            incarnation: 3,
            phase: Phase::Committing,
            heartbeat_ms: 1_700_000_000_000,
            done: 12,
            dead_lettered: 1,
            retried: 2,
            in_flight: 7,
            since_ms: 4_711,
            marks: vec![
                Mark { raw_data_id: 5, fingerprint: 6 },
                Mark { raw_data_id: 0, fingerprint: fingerprint(b"x") },
            ],
        }
    }

    #[test]
    fn the_last_complete_step_is_what_a_reader_finds() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(FlightRecord::read(file.path()), Err(FlightError::Empty)));
        let mut recorder = FlightRecorder::over(Some(file.reopen().unwrap().into()));
        recorder.write(&sample());
        assert_eq!(FlightRecord::read(file.path()).unwrap(), sample());
        // A shorter record over a longer one leaves old marks behind it in the file, which must not be read.
        let shorter = FlightRecord { marks: Vec::new(), phase: Phase::Idle, ..sample() };
        recorder.write(&shorter);
        assert_eq!(FlightRecord::read(file.path()).unwrap(), shorter);
    }

    #[test]
    fn the_record_of_a_worker_from_before_an_upgrade_can_be_read() {
        let old = FlightRecord { since_ms: 0, ..sample() };
        let mut bytes = Vec::new();
        old.encode(&mut bytes);
        bytes[4] = 1;
        bytes[HEADER - 8..HEADER].fill(0);
        let checksum = fingerprint(&bytes);
        bytes[HEADER - 8..HEADER].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(FlightRecord::decode(&bytes).unwrap(), old);
    }

    #[test]
    fn no_damaged_record_is_taken_for_a_real_one() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(FlightRecord::decode(&damaged).is_err(), "byte {at}");
            assert!(FlightRecord::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_worker_without_supervisor_records_nowhere() {
        FlightRecorder::over(None).write(&sample());
    }
}
