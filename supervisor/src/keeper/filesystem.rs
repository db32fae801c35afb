//! What a worker can see of the file system: Landlock rules, made before the process is and taken on by it.
//!
//! A rule is about a directory or a file as it is now, not about its name. So wherever a file may be replaced by another one of
//! the same name, its directory stands in the rules.

use std::{
    ffi::OsStr,
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use nix::errno::Errno;

use super::program::errno_of;

/// The newest that this was tried with. Later ones would refuse things that workers need and we do not know of.
const ABI_KNOWN: ABI = ABI::V6;

/// Programs, libraries and what they look up.
const SYSTEM: [&str; 15] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
    "/dev/random",
    "/dev/urandom",
];
/// Devices that hold nothing.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];
/// Files below `/etc` that point elsewhere on many machines.
const POINTING: [&str; 3] = ["/etc/resolv.conf", "/etc/localtime", "/etc/hosts"];
/// What a process of the keeper's own user could read below `/etc`, and has no business with.
const NOT_FOR_WORKERS: [&str; 6] = ["shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "ssh"];

/// The rules that all workers have in common.
#[derive(Debug)]
pub(super) struct Filesystem {
    read: BitFlags<AccessFs>,
    write: BitFlags<AccessFs>,
    /// Opened once: opening takes longer than making a rule of it.
    common: Vec<(PathFd, BitFlags<AccessFs>)>,
    etc: PathFd,
    /// In place of `/etc` where nothing else keeps a worker out of our own files.
    etc_without_ours: Vec<PathBuf>,
    /// Which parts the kernel knows.
    pub(super) signals: bool,
}

/// What one worker may see beside that.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) program: &'a Path,
    pub(super) working_directory: Option<&'a Path>,
    pub(super) readable: &'a [PathBuf],
    pub(super) writable: &'a [PathBuf],
    /// Its own directory.
    pub(super) own: &'a Path,
    /// Whether it is another user than we are.
    pub(super) own_user: bool,
}

/// There are no rules.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoRules {
    /// A place that stands in the configuration is not there.
    #[error("open {}: {}", path.display(), errno.desc())]
    Place {
        /// Which.
        path: PathBuf,
        /// Why not.
        errno: Errno,
    },
    /// The kernel refuses.
    #[error("make Landlock rules: {0}")]
    Rules(#[from] RulesetError),
}

impl NoRules {
    /// The system's number for it.
    pub(super) const fn errno(&self) -> Errno {
        match self {
            Self::Place { errno, .. } => *errno,
            Self::Rules(_) => Errno::EACCES,
        }
    }
}

impl Filesystem {
    /// `None` where the kernel has no Landlock, or it is switched off. `ours`: the directory of our configuration.
    pub(super) fn new(ours: &Path) -> Result<Option<Self>, NoRules> {
        let read = AccessFs::from_read(ABI_KNOWN);
        let write = AccessFs::from_all(ABI_KNOWN);
        let hard = |abi| {
            let scope = Scope::from_all(abi);
            let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            let ruleset =
                if scope.is_empty() { ruleset.handle_access(AccessFs::Execute) } else { ruleset.scope(scope) };
            ruleset.and_then(Ruleset::create).is_ok()
        };
        if !hard(ABI::V1) {
            return Ok(None);
        }
        let mut common: Vec<_> = SYSTEM.iter().filter_map(|path| Some((PathFd::new(path).ok()?, read))).collect();
        for path in POINTING {
            // A file that something replaces now and then: its directory.
            if let Ok(target) = fs::canonicalize(path)
                && let Some(directory) = target.parent().filter(|directory| *directory != Path::new("/"))
                && !directory.starts_with("/etc")
                && let Ok(directory) = PathFd::new(directory)
            {
                common.push((directory, read));
            }
        }
        common.extend(DEVICES.iter().filter_map(|path| Some((PathFd::new(path).ok()?, write))));
        let etc = place(Path::new("/etc"))?;
        let etc_without_ours = etc_without(ours);
        Ok(Some(Self { read, write, common, etc, etc_without_ours, signals: hard(ABI::V6) }))
    }

    /// The rules for one worker.
    pub(super) fn rules(&self, view: &View<'_>) -> Result<OwnedFd, NoRules> {
        let mut rules = Ruleset::default().handle_access(self.write)?;
        if self.signals {
            rules = rules.scope(Scope::from_all(ABI_KNOWN))?;
        }
        let mut rules = rules.create()?;
        for (place, access) in &self.common {
            rules = rules.add_rule(PathBeneath::new(place, *access))?;
        }
        if view.own_user {
            rules = rules.add_rule(PathBeneath::new(&self.etc, self.read))?;
        } else {
            // So many that they are not kept open.
            for place in self.etc_without_ours.iter().filter_map(|path| PathFd::new(path).ok()) {
                rules = rules.add_rule(PathBeneath::new(place, self.read))?;
            }
        }
        // One that is missing is what the process will be told when it changes to it.
        let working_directory = view.working_directory.filter(|directory| directory.exists()).map(Path::to_owned);
        let readable = program_places(view.program).into_iter().chain(working_directory);
        let readable = readable.chain(view.readable.iter().cloned()).map(|path| (path, self.read));
        let writable = view.writable.iter().cloned().chain([view.own.to_owned()]).map(|path| (path, self.write));
        for (path, access) in readable.chain(writable) {
            rules = rules.add_rule(PathBeneath::new(place(&path)?, access))?;
        }
        let none = || NoRules::Place { path: PathBuf::from("Landlock"), errno: Errno::ENOSYS };
        Option::<OwnedFd>::from(rules).ok_or_else(none)
    }
}

fn place(path: &Path) -> Result<PathFd, NoRules> {
    PathFd::new(path).map_err(|error| {
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        NoRules::Place { path: path.to_owned(), errno: cause.map_or(Errno::ENOENT, errno_of) }
    })
}

/// Where a program has its files: its directory, that of the file it links to, and the whole of a Python environment.
fn program_places(program: &Path) -> Vec<PathBuf> {
    let real = fs::canonicalize(program).ok();
    let directories = [Some(program), real.as_deref()].into_iter().flatten().filter_map(Path::parent);
    let mut places = Vec::new();
    for directory in directories {
        let environment = directory.parent().filter(|above| above.join("pyvenv.cfg").is_file());
        let place = environment.unwrap_or(directory).to_owned();
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// Everything directly below `/etc` but our own configuration, with its passwords, and other secrets.
fn etc_without(ours: &Path) -> Vec<PathBuf> {
    let ours = fs::canonicalize(ours).unwrap_or_else(|_| ours.to_owned());
    let is_secret = |name: &OsStr| NOT_FOR_WORKERS.iter().any(|secret| name == *secret);
    let entries = fs::read_dir("/etc").into_iter().flatten().flatten();
    let entries = entries.filter(|entry| !is_secret(&entry.file_name()) && !ours.starts_with(entry.path()));
    entries.map(|entry| entry.path()).collect()
}
