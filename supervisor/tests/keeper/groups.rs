//! A keeper in a control group of its own gives each worker one.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use etl_supervisor::keeper::protocol::{ExitStatus, Report, Scope};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{Brain, Keeper, Place, dies, lives, wait_until};

/// A control group for one keeper, removed at the end.
struct Group(PathBuf);

impl Group {
    /// `None` where nobody can make one; not where somebody has seen to it that one can be made.
    fn make() -> Option<Self> {
        let made = Self::attempt();
        let insisted = std::env::var_os("ETL_TEST_CGROUPS").is_some();
        assert!(made.is_some() || !insisted, "ETL_TEST_CGROUPS is set, and no control group can be made here");
        made
    }

    fn attempt() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
        let name = format!("etl-keeper-test-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(mount).join(name);
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    fn keeper(&self, place: &Place) -> Keeper {
        place.start_through(&format!("echo $$ > {}/cgroup.procs", self.0.display()))
    }

    /// Where the workers' groups lie.
    fn base(&self) -> PathBuf {
        let mut entries = fs::read_dir(&self.0).unwrap().flatten().filter(|entry| entry.path().is_dir());
        entries.next().unwrap().path()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let below = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        for base in below(&self.0) {
            for leaf in below(&base) {
                let _ = fs::remove_dir(leaf);
            }
            let _ = fs::remove_dir(base);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// As in the tests of isolation: a process that nothing but its group tells from others.
const GHOST: &str = "import os, sys, time\n\
    if os.fork(): time.sleep(600)\n\
    os.setsid()\n\
    if os.fork(): os._exit(0)\n\
    os.setsid()\n\
    if os.fork(): os._exit(0)\n\
    print('ghost', os.getpid(), flush=True)\n\
    os.closerange(0, 1000)\n\
    os.execve('/bin/sleep', ['sleep', '600'], {})\n";

fn haunted() -> Place {
    let template = format!("[queues.haunt]\ncommand = [\"python3\", \"-c\", {GHOST:?}]\n");
    Place::new(&format!("[isolation]\nusers = \"off\"\n{template}"))
}

fn ghost(place: &Place, brain: &mut Brain, worker: &str) -> (Pid, Pid) {
    let main = brain.spawned(worker, 1);
    let ghost = Pid::from_raw(place.printed(worker, "ghost ").parse().unwrap());
    let named = || fs::read_to_string(format!("/proc/{ghost}/cmdline")).is_ok_and(|line| line.starts_with("sleep\0"));
    wait_until(|| "the ghost has become a sleep".to_owned(), named);
    (main, ghost)
}

#[test]
fn nobody_survives_a_worker_that_has_a_group_though_it_has_no_user_of_its_own() {
    let Some(group) = Group::make() else { return println!("no control group can be made here") };
    let place = haunted();
    let keeper = group.keeper(&place);
    let mut brain = place.brain();
    let (first, ghost_of_first) = ghost(&place, &mut brain, "haunt-1-1");
    let (second, ghost_of_second) = ghost(&place, &mut brain, "haunt-1-2");
    let leaf = group.base().join("haunt-1-1");
    let inside = fs::read_to_string(leaf.join("cgroup.procs")).unwrap();
    assert!(inside.lines().any(|pid| pid == ghost_of_first.to_string()), "{inside}");

    kill(first, Signal::SIGKILL).unwrap();
    brain.exited("haunt-1-1");
    assert!(!lives(ghost_of_first), "an exit is told only when nobody is left");
    assert!(!leaf.exists(), "its group is gone with it");
    assert!(lives(second) && lives(ghost_of_second), "the tenant's other worker has a group of its own");
    brain.signal("haunt-1-2", 1, Signal::SIGKILL, Scope::Tree);
    brain.exited("haunt-1-2");
    assert!(!lives(second) && !lives(ghost_of_second));

    let wall = brain.hello.walls.iter().find(|wall| wall.name == "cgroups").unwrap().clone();
    assert!(wall.up && wall.detail.contains("etl-supervisor-"), "{wall:?}");
    drop(keeper);
    assert_eq!(fs::read_dir(&group.0).unwrap().flatten().filter(|entry| entry.path().is_dir()).count(), 0);
}

#[test]
fn a_keeper_finds_and_ends_those_in_the_groups_of_the_one_before_it() {
    let Some(group) = Group::make() else { return println!("no control group can be made here") };
    let place = haunted();
    let mut keeper = group.keeper(&place);
    let (main, stray) = ghost(&place, &mut place.brain(), "haunt-1-1");
    keeper.signal(Signal::SIGKILL);
    keeper.ended();
    dies(main);
    assert!(lives(stray), "nobody was there to take it along");
    let _next = group.keeper(&place);
    assert!(!lives(stray), "gone before anything is started");
    place.brain().spawned("haunt-1-1", 2);
}

#[test]
fn a_worker_cannot_leave_its_group() {
    let Some(group) = Group::make() else { return println!("no control group can be made here") };
    let outside = group.0.join("cgroup.procs").display().to_string();
    let script = format!("echo $$ > {outside:?} && echo left || echo stayed; exec sleep 600").replace('"', "'");
    let place = Place::new(&format!("[queues.flee]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let _keeper = group.keeper(&place);
    let mut brain = place.brain();
    let pid = brain.spawned("flee-1-1", 1);
    wait_until(|| place.log("flee-1-1"), || place.log("flee-1-1").contains("stayed"));
    let at = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(at.lines().any(|line| line.ends_with("/flee-1-1")), "{at}");
}

#[test]
fn whether_memory_ran_out_is_said_only_where_somebody_counts() {
    let Some(group) = Group::make() else { return println!("no control group can be made here") };
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    let _keeper = group.keeper(&place);
    let mut brain = place.brain();
    let pid = brain.spawned("sleep-1-1", 1);
    let counted = group.base().join("sleep-1-1/memory.events").exists();
    kill(pid, Signal::SIGKILL).unwrap();
    let Report::Exited { status, usage, .. } = brain.exited("sleep-1-1") else { unreachable!("it was picked") };
    assert_eq!(status, ExitStatus::Signal(Signal::SIGKILL as i32));
    assert_eq!(usage.out_of_memory, counted.then_some(false));
    let memory = brain.hello.walls.iter().find(|wall| wall.name == "memory").unwrap();
    assert_eq!(memory.up, counted, "{memory:?}");
}
