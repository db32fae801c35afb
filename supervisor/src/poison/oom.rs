//! Whether it was the kernel that killed a process for its memory.
//!
//! The exit status does not say: it is SIGKILL either way. The kernel counts its own kills, for the whole machine.

/// The kernel's count (`oom_kill` in `/proc/vmstat`) as it was lately.
///
/// Two readings are kept, so that an exit that is heard of just after a reading still finds the count grown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OomKills {
    before: Option<u64>,
    latest: Option<u64>,
}

impl OomKills {
    /// A reading now and then, so that an old kill of somebody else is not taken for the cause of a new exit.
    pub const fn seen(&mut self, count: Option<u64>) {
        self.before = if self.latest.is_some() { self.latest } else { count };
        self.latest = count;
    }

    /// A process was killed and nobody here did it: whether one of the kernel's kills is left to explain it. Each explains one.
    pub fn explains(&mut self, count: Option<u64>) -> bool {
        let (Some(before), Some(count)) = (self.before, count) else { return false };
        if count <= before {
            return false;
        }
        self.before = Some(before + 1);
        self.latest = self.latest.max(self.before);
        true
    }
}

/// The count in the text of `/proc/vmstat`.
pub fn parse(vmstat: &str) -> Option<u64> {
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_of_the_kernel_explains_one_exit() {
        let mut kills = OomKills::default();
        assert!(!kills.explains(Some(9)), "nothing was read before");
        kills.seen(Some(9));
        assert!(!kills.explains(Some(9)));
        assert!(kills.explains(Some(11)) && kills.explains(Some(11)));
        assert!(!kills.explains(Some(11)), "the third was killed by somebody else");
    }

    #[test]
    fn a_reading_between_kill_and_report_loses_nothing_and_an_old_kill_explains_nothing() {
        let mut kills = OomKills::default();
        kills.seen(Some(3));
        kills.seen(Some(4));
        assert!(kills.explains(Some(4)), "the exit was heard of just after the reading");
        let mut kills = OomKills::default();
        kills.seen(Some(3));
        kills.seen(Some(4));
        kills.seen(Some(4));
        assert!(!kills.explains(Some(4)), "that was somebody else, a while ago");
    }

    #[test]
    fn where_the_count_cannot_be_read_nothing_is_explained() {
        let mut kills = OomKills::default();
        kills.seen(None);
        assert!(!kills.explains(None) && !kills.explains(Some(1)));
    }

    #[test]
    fn the_count_is_found_among_its_namesakes() {
        assert_eq!(parse("oom_kill_process 7\nnr_free 1\noom_kill 12\n"), Some(12));
        assert_eq!(parse("nr_free 1\n"), None);
    }
}
