//! A keeper that outlives whoever started it.

use std::{fs, path::Path};

use etl_supervisor::keeper::{StartError, start_detached_from};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getsid},
};

use crate::harness::{Place, dies};

fn start(place: &Place) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_etl-supervisor"));
    runtime.block_on(start_detached_from(program, &place.config(), &place.runtime()))
}

/// Every process that runs as this place's keeper.
fn keepers(place: &Place) -> Vec<Pid> {
    let config = place.config().display().to_string();
    let pids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let runs = |pid: &i32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == config.as_bytes())
    };
    pids.filter(runs).map(Pid::from_raw).collect()
}

#[test]
fn it_listens_when_the_start_returns_and_has_nothing_of_ours() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    // As a descriptor that somebody forgot to close would be.
    let forgotten = fs::File::create(place.path("forgotten")).unwrap();
    nix::fcntl::fcntl(&forgotten, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    start(&place).unwrap();
    let mut brain = place.brain();
    let keeper = Pid::from_raw(brain.hello.pid);
    assert_eq!(getsid(Some(keeper)).unwrap(), keeper, "it has a session of its own");
    let open: Vec<_> = fs::read_dir(format!("/proc/{keeper}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    assert!(!open.contains(&place.path("forgotten")), "{open:?}");
    assert_eq!(fs::read_link(format!("/proc/{keeper}/cwd")).unwrap(), Path::new("/"));
    brain.spawned("sleep-1-1", 1);
    // A second start finds the first one at work, and leaves nobody who waits to take its place.
    start(&place).unwrap();
    drop(brain);
    assert_eq!(place.brain().hello.pid, keeper.as_raw());
    assert_eq!(keepers(&place), [keeper]);
    kill(keeper, Signal::SIGTERM).unwrap();
    dies(keeper);
}

#[test]
fn a_keeper_that_cannot_work_is_quoted() {
    let place = Place::new("");
    let runtime = place.runtime();
    place.configure("[queues.sleep]\ncommand = []\n");
    let program = Path::new(env!("CARGO_BIN_EXE_etl-supervisor"));
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = tokio.block_on(start_detached_from(program, &place.config(), &runtime)).unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }), "{error:?}");
    assert!(error.to_string().contains("queues.sleep.command is empty"), "{error}");
}
