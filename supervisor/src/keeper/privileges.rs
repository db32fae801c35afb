//! What the keeper itself may do.

use std::fs;

/// The capabilities that workers of other users take, with their numbers in the kernel.
const NEEDED: [(&str, u32); 4] = [("CAP_CHOWN", 0), ("CAP_KILL", 5), ("CAP_SETGID", 6), ("CAP_SETUID", 7)];

/// The capabilities that would be needed for workers of other users and are not there.
pub(super) fn missing() -> Vec<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing_in(&status)
}

fn missing_in(status: &str) -> Vec<&'static str> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok()).unwrap_or(0);
    NEEDED.iter().filter(|(_, number)| effective & (1 << number) == 0).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing_in("CapEff:\t000001ffffffffff\n"), [""; 0]);
        assert_eq!(missing_in("CapEff:\t00000000000000e1\n"), [""; 0]);
        assert_eq!(missing_in("CapEff:\t00000000000000c1\n"), ["CAP_KILL"]);
        assert_eq!(missing_in("").len(), 4);
    }
}
