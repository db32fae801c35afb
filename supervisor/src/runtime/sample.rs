//! What the operating system says of a process (one read of `/proc/PID/stat`), and what its flight record says of its work.

use std::{fs::File, io::Read, path::Path};

use etl_shared::{WorkerName, flight::FlightRecord};
use nix::unistd::{SysconfVar, sysconf};

use super::view::{MessageSample, Sample};
use crate::clock::BootTime;

/// A worker's process as it is now; `None` where it is gone.
pub fn look(flight_directory: &Path, worker: &WorkerName, incarnation: u64, pid: i32) -> Option<Sample> {
    // One read is the whole line, and half of the system calls that reading to the end would take.
    let mut line = [0; 1024];
    let length = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    let sample = parse(str::from_utf8(&line[..length]).ok()?, ticks_per_second(), page_size())?;
    // A program that keeps no flight record leaves the file empty, and an earlier process's record says nothing of this one.
    let record = FlightRecord::read(&flight_directory.join(worker.to_string())).ok();
    let messages = record.filter(|record| record.incarnation == incarnation).map(|record| MessageSample {
        phase: record.phase,
        since_ms: record.since_ms,
        in_flight: record.in_flight,
        done: record.done,
        dead_lettered: record.dead_lettered,
        retried: record.retried,
    });
    Some(Sample { messages, ..sample })
}

/// Resident memory in bytes and processor time in seconds of a process of the supervisor's own.
pub fn own_process(pid: i32) -> Option<(u64, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let sample = parse(&stat, ticks_per_second(), page_size())?;
    Some((sample.resident_memory_bytes, sample.cpu_seconds))
}

fn parse(stat: &str, ticks_per_second: u64, page_size: u64) -> Option<Sample> {
    // The second field is the program's name in parentheses and may itself hold both blanks and parentheses.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "processor time far below 2^53 ticks")]
    let cpu_seconds = (number(14)? + number(15)?) as f64 / ticks_per_second as f64;
    Some(Sample { at: BootTime::now(), resident_memory_bytes: number(24)? * page_size, cpu_seconds, messages: None })
}

fn ticks_per_second() -> u64 {
    positive(SysconfVar::CLK_TCK, 100)
}

fn page_size() -> u64 {
    positive(SysconfVar::PAGE_SIZE, 4096)
}

fn positive(variable: SysconfVar, otherwise: u64) -> u64 {
    sysconf(variable).ok().flatten().and_then(|value| u64::try_from(value).ok()).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "4121 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 19 20 100 22";
        let sample = parse(stat, 100, 4096).unwrap();
        assert!((sample.cpu_seconds - 3.0).abs() < 1e-9, "{sample:?}");
        assert_eq!(sample.resident_memory_bytes, 100 * 4096);
    }

    #[test]
    fn this_process_has_memory_and_one_that_is_gone_has_no_sample() {
        let worker = "transform-1-1".parse().unwrap();
        let look = |pid| look(Path::new("/nonexistent"), &worker, 1, pid);
        let own = look(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(own.resident_memory_bytes > 100_000 && own.messages.is_none());
        assert!(look(i32::MAX).is_none());
    }
}
