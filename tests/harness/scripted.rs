//! Instructions for the scripted worker, and the traces that it leaves.
//!
//! A scripted worker reads `HOME/plan-TENANT`, else `HOME/plan`, each time it starts, one instruction a line. It appends a
//! line to `HOME/born` as the first thing it does, and one to `HOME/signals` for every signal that it gets.

use std::{
    fmt,
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// What a scripted worker does beside waiting for TERM and leaving with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    /// Say that it is ready only after this long. Without it: at once.
    ReadyAfter(Duration),
    /// Never say that it is ready.
    NeverReady,
    /// Leave at once with this code, without having been ready.
    Exit(u8),
    /// Die at once of this signal, without having been ready.
    Die(i32),
    /// Leave with this code, this long after it became ready.
    ExitAfter(Duration, u8),
    /// Take no notice of TERM.
    IgnoreTerm,
    /// Take this long to leave after TERM.
    SlowExit(Duration),
    /// Start descendants that detach themselves into sessions of their own and take no notice of TERM.
    Descendants(u32),
    /// Use so many MiB of memory from the start.
    Memory(u32),
    /// Write a line to its standard output.
    Print(String),
}

impl fmt::Display for Do {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadyAfter(time) => write!(f, "ready-after {}", time.as_millis()),
            Self::NeverReady => f.write_str("never-ready"),
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Die(signal) => write!(f, "die {signal}"),
            Self::ExitAfter(time, code) => write!(f, "exit-after {} {code}", time.as_millis()),
            Self::IgnoreTerm => f.write_str("ignore-term"),
            Self::SlowExit(time) => write!(f, "slow-exit {}", time.as_millis()),
            Self::Descendants(count) => write!(f, "descendants {count}"),
            Self::Memory(mebibytes) => write!(f, "memory {mebibytes}"),
            Self::Print(text) => write!(f, "print {text}"),
        }
    }
}

/// One line of `HOME/born`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Birth {
    /// Such as `transform-7-1`.
    pub worker: String,
    /// Its process.
    pub pid: i32,
}

/// The directory that scripted workers and their test share.
#[derive(Debug, Clone)]
pub struct Home(PathBuf);

/// Gives a file or directory a mode, whatever the umask.
pub fn open_to(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

impl Home {
    /// In this directory, which is made.
    pub fn create(directory: &Path) -> Self {
        fs::create_dir_all(directory).expect("a directory for the scripted workers");
        // Workers are users of their own and write here all the same.
        open_to(directory, 0o777);
        for name in ["born", "signals", "descendants"] {
            let path = directory.join(name);
            OpenOptions::new().create(true).append(true).open(&path).expect("a file for their traces");
            open_to(&path, 0o666);
        }
        Self(directory.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What every worker without a plan of its own does from its next start on.
    pub fn plan_all(&self, plan: &[Do]) {
        self.write("plan", plan);
    }

    /// What the workers of one tenant do from their next start on.
    pub fn plan(&self, tenant: i64, plan: &[Do]) {
        self.write(&format!("plan-{tenant}"), plan);
    }

    /// Every process that has ever been started here, in order.
    pub fn births(&self) -> Vec<Birth> {
        self.lines("born")
            .iter()
            .filter_map(|line| {
                let (worker, pid) = line.split_once(' ')?;
                Some(Birth { worker: worker.to_owned(), pid: pid.parse().ok()? })
            })
            .collect()
    }

    /// Pids of the processes that were started for one tenant's first worker, in order.
    pub fn born_of(&self, tenant: i64) -> Vec<i32> {
        let name = format!("transform-{tenant}-1");
        self.births().iter().filter(|birth| birth.worker == name).map(|birth| birth.pid).collect()
    }

    /// Pids of the descendants that scripted workers have left in sessions of their own.
    pub fn descendants(&self) -> Vec<i32> {
        self.lines("descendants").iter().filter_map(|line| line.parse().ok()).collect()
    }

    /// The names of the signals that one process got, in order; without CONT, which only wakes a process that was stopped.
    pub fn signals_of(&self, pid: i32) -> Vec<String> {
        let mark = format!("{pid} ");
        let names = self.lines("signals");
        let names = names.iter().filter_map(|line| line.strip_prefix(&mark)).filter(|name| *name != "SIGCONT");
        names.map(str::to_owned).collect()
    }

    fn write(&self, name: &str, plan: &[Do]) {
        let text = plan.iter().fold(String::new(), |text, what| format!("{text}{what}\n"));
        // Renamed into place: a worker that starts now reads the old plan or the new one, never half of it.
        let unfinished = self.0.join(format!("{name}.unfinished"));
        fs::write(&unfinished, text).expect("a plan can be written");
        open_to(&unfinished, 0o644);
        fs::rename(unfinished, self.0.join(name)).expect("a plan can be put into place");
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    }
}
