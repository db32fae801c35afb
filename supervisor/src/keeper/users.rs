//! Whether tenants' workers can be users of their own here.

use std::{fs, path::Path};

use nix::unistd::Pid;

use super::{
    identities::{self, Identities, clash},
    privileges, raw, reach,
};
use crate::settings::{Isolation, Runtime, UidRange, Wish};

/// The numbers, or why there are none.
#[derive(Debug)]
pub(super) enum Users {
    /// Each tenant has one.
    On(Identities),
    /// It is not possible, or not wanted: workers are who the keeper is.
    Off(String),
    /// It is possible, but who has which number is not known any more: nothing is started.
    Broken(String),
}

impl Users {
    pub(super) fn new(wishes: &Isolation, runtime: &Runtime) -> Self {
        if wishes.users == Wish::Off {
            return Self::Off("switched off by isolation.users".to_owned());
        }
        let range = wishes.uid_range;
        let path = runtime.keeper_state_directory().join("identities");
        match Self::impossible(range, runtime) {
            // Tenants that were users of their own do not become one user because of what somebody else has changed.
            Some(why) if identities::any_given(&path) => {
                return Self::Broken(format!(
                    "{why}; with isolation.users = \"off\" workers would run as the keeper's user"
                ));
            }
            Some(why) => return Self::Off(why),
            None => {}
        }
        match Identities::open(&path, range) {
            Ok(identities) => Self::On(identities),
            Err(error) => Self::Broken(crate::causes::in_one_line(&error)),
        }
    }

    /// Why this machine does not allow it, or not with this range.
    fn impossible(range: UidRange, runtime: &Runtime) -> Option<String> {
        let missing = privileges::missing();
        if !missing.is_empty() {
            return Some(format!("the keeper has no {}: run it as root or as the systemd unit", missing.join(", ")));
        }
        if let Some(clash) = clash(range, Path::new("/")).or_else(|| other_keeper(range)) {
            return Some(format!("isolation.uid_range = \"{range}\": {clash}; choose another range"));
        }
        reach::by_others(&runtime.directory).err().map(|why| format!("runtime.directory: {why}"))
    }

    /// Why workers are not users of their own.
    pub(super) fn why_not(&self) -> Option<String> {
        match self {
            Self::On(_) => None,
            Self::Off(why) | Self::Broken(why) => Some(why.clone()),
        }
    }

    /// A number that nobody runs as.
    pub(super) const fn nobodys(&self) -> Option<u32> {
        match self {
            Self::On(identities) => Some(identities.nobodys()),
            Self::Off(_) | Self::Broken(_) => None,
        }
    }

    /// Kills whoever runs as one of our tenants, before anything has been started; how many users there were.
    pub(super) fn kill_left_over(&self) -> usize {
        let Self::On(identities) = self else { return 0 };
        let mut users: Vec<u32> = processes().filter_map(user_of).filter(|id| identities.has_given(*id)).collect();
        users.sort_unstable();
        users.dedup();
        users.iter().filter(|user| raw::kill_user(**user, identities.nobodys()).unwrap_or(false)).count()
    }
}

/// Another keeper's worker with a number of this range: it would be the same user as one of ours.
fn other_keeper(range: UidRange) -> Option<String> {
    let in_range = |id: u32| (range.first..=range.last).contains(&id);
    processes().filter(|pid| user_of(*pid).is_some_and(in_range)).find_map(|pid| {
        let keeper = parent(pid).filter(|parent| *parent != Pid::this() && parent.as_raw() > 1)?;
        let is_keeper = !user_of(keeper).is_some_and(in_range)
            && fs::read_to_string(format!("/proc/{keeper}/comm")).is_ok_and(|name| name.trim() == "etl-supervisor");
        is_keeper.then(|| format!("process {pid} of another keeper ({keeper}) has an id of it"))
    })
}

/// The user of a process; of one that hides itself too.
pub(super) fn user_of(pid: Pid) -> Option<u32> {
    status(pid, "Uid:")
}

fn parent(pid: Pid) -> Option<Pid> {
    status(pid, "PPid:").and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
}

fn status(pid: Pid, field: &str) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw)
}
