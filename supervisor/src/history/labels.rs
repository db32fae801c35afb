//! Words for the labels of metrics: every one of them is chosen here, none by a worker or by whoever publishes a message.

use etl_shared::{Verdict, exit_code};

/// Signals that processes die of; others are one word.
const SIGNALS: [i32; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 24, 25, 31];

/// Why the broker gives up messages, in its own words, and one for whatever somebody wrote into a message's headers.
pub const BROKER_REASONS: [&str; 6] = ["delivery_limit", "expired", "maxlen", "rejected", "unknown_origin", OTHER];
const OTHER: &str = "other";

/// One of [`BROKER_REASONS`].
pub(super) fn broker_reason(reason: &str) -> &'static str {
    BROKER_REASONS.into_iter().find(|known| *known == reason).unwrap_or(OTHER)
}

/// How a process ended. It chooses its exit code and may send itself any signal: those that nobody knows are one word each.
pub(super) fn restart_reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Exit(code) => match *code {
            exit_code::USAGE => "EXIT(USAGE)",
            exit_code::DATA => "EXIT(DATA)",
            exit_code::INTERNAL => "EXIT(INTERNAL)",
            exit_code::CONFIGURATION => "EXIT(CONFIGURATION)",
            _ => "EXIT",
        }
        .to_owned(),
        Verdict::Crash(signal) if !SIGNALS.contains(signal) => "CRASH".to_owned(),
        known => known.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_worker_that_tries_every_way_to_end_makes_few_labels() {
        let exits = (0..=255).map(Verdict::Exit);
        let words: BTreeSet<String> =
            exits.chain((1..=64).map(Verdict::Crash)).map(|verdict| restart_reason(&verdict)).collect();
        assert_eq!(words.len(), 5 + 1 + SIGNALS.len(), "{words:?}");
        assert!(words.contains("EXIT(CONFIGURATION)") && words.contains("CRASH(SIGSEGV)"), "{words:?}");
        assert_eq!(restart_reason(&Verdict::Crash(40)), "CRASH");
        assert_eq!(restart_reason(&Verdict::Exit(3)), "EXIT");
        assert_eq!(restart_reason(&Verdict::Oom), "OOM");
    }
}
