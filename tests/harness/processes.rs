//! Processes as the operating system sees them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The arguments of a process, from the kernel; empty where there is no such process.
pub fn arguments(pid: i32) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0)
        .filter(|part| !part.is_empty())
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Whether the process runs: a zombie does not.
pub fn alive(pid: i32) -> bool {
    state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The kernel's letter for what a process is doing, such as `T` for stopped.
pub fn state(pid: i32) -> Option<char> {
    stat_fields(pid)?.first()?.chars().next()
}

/// The parent.
pub fn parent(pid: i32) -> Option<i32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

/// When it started, in clock ticks since boot: together with the pid it names one process.
pub fn start_ticks(pid: i32) -> Option<u64> {
    stat_fields(pid)?.get(19)?.parse().ok()
}

/// Sends a signal; the process may be gone already.
#[track_caller]
pub fn signal(pid: i32, signal: Signal) {
    assert!(pid > 1, "{pid} is no process of ours");
    match kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => panic!("cannot send {signal} to {pid}: {error}"),
    }
}

/// Every process that was started with a path below `directory` among its arguments, or that has a file below it open.
pub fn using(directory: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let text = directory.to_string_lossy();
    all().into_iter().filter(|pid| *pid != own && alive(*pid) && uses(*pid, &text)).collect()
}

/// Kills all of [`using`] until none is left.
pub fn kill_using(directory: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = using(directory);
        for pid in &left {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn uses(pid: i32, directory: &str) -> bool {
    let opened = || {
        let Ok(list) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        list.flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target: PathBuf| target.to_string_lossy().starts_with(directory))
    };
    arguments(pid).iter().any(|argument| argument.contains(directory)) || opened()
}

fn all() -> Vec<i32> {
    let Ok(list) = fs::read_dir("/proc") else { return Vec::new() };
    list.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The fields of `/proc/PID/stat` from the state on; what comes before may hold spaces.
fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}
