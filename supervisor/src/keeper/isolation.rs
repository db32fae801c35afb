//! What keeps a worker apart from everybody else, put together before each start.
//!
//! Each part is wanted where it can be had (`auto`), insisted on (`required`: without it nothing is started) or not wanted. What
//! became of that is said once, as walls, to every brain.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use etl_shared::WorkerName;
use nix::errno::Errno;

use super::{
    filesystem::{Filesystem, View},
    groups::{Groups, Leaf},
    identities::Identities,
    limits::Limits,
    program::errno_of,
    protocol::SpawnFailure,
    raw::{self, Limit},
    reach,
    template::failed,
    users::Users,
    workplace::Workplaces,
};
use crate::settings::{Isolation as Wishes, Queue, Settings, Wish};

/// What the keeper can do for its workers.
pub(super) struct Isolation {
    pub(super) wishes: Wishes,
    pub(super) users: Users,
    /// A number that nobody runs as, of the last range whose numbers were given here.
    nobodys: Option<u32>,
    /// Or why not.
    pub(super) filesystem: Result<Filesystem, String>,
    /// Or why not.
    pub(super) groups: Result<Groups, String>,
    pub(super) limits: Limits,
    workplaces: Workplaces,
    oom_score: CString,
}

/// What one process is started with.
pub(super) struct Prepared {
    pub(super) user: Option<u32>,
    /// Its own directory.
    pub(super) directory: PathBuf,
    pub(super) group: Option<(Leaf, File)>,
    pub(super) ruleset: Option<OwnedFd>,
    pub(super) limits: Vec<Limit>,
}

impl Isolation {
    /// Looks at what this machine and our own rights allow. To be called once the directories are there and before anything is
    /// started.
    pub(super) fn new(settings: &Settings, config: &Path) -> Self {
        let wishes = settings.isolation.clone();
        let groups = match wishes.cgroups {
            Wish::Off => Err("switched off by isolation.cgroups".to_owned()),
            Wish::Auto | Wish::Required => Groups::enter(&settings.runtime.directory),
        };
        let users = Users::new(&wishes, &settings.runtime);
        Self {
            nobodys: users.nobodys(),
            users,
            filesystem: filesystem(&wishes, config),
            groups,
            limits: Limits::new(),
            workplaces: Workplaces::new(settings.runtime.work_directory()),
            oom_score: oom_score(),
            wishes,
        }
    }

    /// Another reading of the configuration. Control groups are entered at the keeper's start only.
    pub(super) fn replace(&mut self, settings: &Settings, config: &Path) {
        let (before, now) = (&self.wishes, &settings.isolation);
        if before.users != now.users || before.uid_range != now.uid_range {
            self.users = Users::new(now, &settings.runtime);
            // Those who run as one of the numbers before may still have to be killed.
            self.nobodys = self.users.nobodys().or(self.nobodys);
        }
        if before.filesystem != now.filesystem {
            self.filesystem = filesystem(now, config);
        }
        self.wishes = now.clone();
    }

    pub(super) fn oom_score(&self) -> &CString {
        &self.oom_score
    }

    /// Gets everything ready for one process. Only for one who holds the worker's lease.
    pub(super) fn prepare(
        &mut self,
        worker: &WorkerName,
        queue: &Queue,
        program: &Path,
    ) -> Result<Prepared, SpawnFailure> {
        self.insist()?;
        let user = self.user(worker, queue, program)?;
        let step = |what: String| move |error: io::Error| failed(format!("{what} ({error})"), errno_of(&error));
        let own = self.workplaces.path(worker);
        let directory = self.workplaces.prepare(worker, user);
        let directory = directory.map_err(step(format!("make the working directory {}", own.display())))?;
        let group = match self.group_wanted() {
            Some(groups) => {
                let leaf = groups.make(worker, queue).map_err(step(format!("make a control group for {worker}")))?;
                let entrance = leaf.entrance().map_err(step(format!("open the control group of {worker}")))?;
                Some((leaf, entrance))
            }
            None => None,
        };
        let ruleset = match &self.filesystem {
            Ok(filesystem) => {
                let view = View {
                    program,
                    working_directory: queue.working_directory.as_deref(),
                    readable: &queue.readable,
                    writable: &queue.writable,
                    own: &directory,
                    own_user: user.is_some(),
                };
                let rules = filesystem.rules(&view);
                Some(rules.map_err(|error| failed(format!("restrict the file system: {error}"), error.errno()))?)
            }
            Err(_) => None,
        };
        let limits = self.limits.of(queue, user.is_some(), |name| self.is_limited(name));
        Ok(Prepared { user, directory, group, ruleset, limits })
    }

    /// Nothing is started without what is insisted on.
    fn insist(&self) -> Result<(), SpawnFailure> {
        let wanted = [
            ("users", self.wishes.users, self.users.why_not()),
            ("filesystem", self.wishes.filesystem, self.filesystem.as_ref().err().cloned()),
            ("cgroups", self.wishes.cgroups, self.groups.as_ref().err().cloned()),
        ];
        for (name, wish, why_not) in wanted {
            if let (Wish::Required, Some(why_not)) = (wish, why_not) {
                return Err(failed(format!("isolation.{name} is required: {why_not}"), Errno::EPERM));
            }
        }
        Ok(())
    }

    fn user(&mut self, worker: &WorkerName, queue: &Queue, program: &Path) -> Result<Option<u32>, SpawnFailure> {
        let refused = |why: String| Err(failed(why, Errno::EPERM));
        let identities: &mut Identities = match &mut self.users {
            Users::Off(_) => return Ok(None),
            Users::Broken(why) => return refused(format!("give {} a user id: {why}", worker.tenant)),
            Users::On(identities) => identities,
        };
        if let Err(why) = unreachable(queue, program) {
            if self.wishes.users == Wish::Required {
                return refused(format!("isolation.users is required: {why}"));
            }
            return Ok(None);
        }
        match identities.of(worker.tenant) {
            Ok(id) => Ok(Some(id)),
            Err(error) => {
                refused(format!("give tenant {} a user id: {}", worker.tenant, crate::causes::in_one_line(&error)))
            }
        }
    }

    fn group_wanted(&self) -> Option<&Groups> {
        self.groups.as_ref().ok().filter(|_| self.wishes.cgroups != Wish::Off)
    }

    /// Kills whoever is this user, one that we have given; whether there was anybody.
    pub(super) fn kill_user(&self, user: u32) -> nix::Result<bool> {
        raw::kill_user(user, self.nobodys.ok_or(Errno::EINVAL)?)
    }

    /// The group of a worker that may have been started with one.
    pub(super) fn leaf(&self, worker: &WorkerName) -> Option<Leaf> {
        self.groups.as_ref().ok().map(|groups| groups.leaf(worker))
    }

    /// Whether a controller limits workers that are started now.
    pub(super) fn is_limited(&self, controller: &str) -> bool {
        self.group_wanted().is_some_and(|groups| groups.limit(controller))
    }

    /// Does some of what is left to be tidied up; whether there is more.
    pub(super) fn tidy(&mut self) -> bool {
        self.workplaces.tidy()
    }

    /// At the keeper's end.
    pub(super) fn leave(&self) {
        if let Users::On(identities) = &self.users
            && let Err(error) = identities.settle()
        {
            tracing::warn!(%error, "user ids not written to the disk");
        }
        if let Ok(groups) = &self.groups {
            groups.leave();
        }
    }
}

/// Why a worker of this type cannot be another user, where it cannot.
pub(super) fn unreachable(queue: &Queue, program: &Path) -> Result<(), String> {
    reach::by_others(program)?;
    queue.working_directory.as_deref().map_or(Ok(()), reach::by_others)
}

fn filesystem(wishes: &Wishes, config: &Path) -> Result<Filesystem, String> {
    if wishes.filesystem == Wish::Off {
        return Err("switched off by isolation.filesystem".to_owned());
    }
    match Filesystem::new(config.parent().unwrap_or(config)) {
        Ok(Some(filesystem)) => Ok(filesystem),
        Ok(None) => {
            let advice = "add landlock to the kernel's parameter lsm=, or use Linux 5.13 or later";
            Err(format!("the kernel has no Landlock: {advice}"))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A worker is taken before the keeper, whose end would be every worker's, and before most of the machine.
fn oom_score() -> CString {
    const USUAL: i32 = 200;
    let ours = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let ours: i32 = ours.trim().parse().unwrap_or(0);
    CString::new((ours + 100).clamp(USUAL, 1000).to_string()).unwrap_or_default()
}
