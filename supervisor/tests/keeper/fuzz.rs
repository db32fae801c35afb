//! A brain that has been taken over says anything at all: the keeper goes on, starts nothing but its templates, and touches
//! nobody but its workers.

use std::{
    fs,
    io::IoSlice,
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
};

use etl_supervisor::keeper::protocol::{MAX_PACKET, Report, VERSION};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        socket::{ControlMessage, MsgFlags, recv, sendmsg},
    },
    unistd::Pid,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    conversation::raw_connection,
    harness::{Keeper, Place, lives, wait_until},
};

const TEMPLATES: &str = "[queues.sleep]\ncommand = [\"sleep\", \"600\"]\nready = \"exec\"\n\
                         [queues.anchor]\ncommand = [\"sleep\", \"600\"]\nready = \"exec\"\n";
const CONVERSATIONS: u32 = 300;

#[derive(Debug, Clone)]
struct Packet {
    bytes: Vec<u8>,
    descriptors: usize,
}

/// A worker's name, or what could be taken for one.
fn worker() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (1..4_u8, 1..3_u8).prop_map(|(tenant, slot)| format!("sleep-{tenant}-{slot}")),
        1 => select(vec!["../sleep-1-1", "sleep-1-1/../../x", "sh-1-1", "sleep-0-1", "sleep--1-1", "sleep-1-1\0", ""])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    let incarnation = prop_oneof![1..4_u64, any::<u64>()];
    let scope = select(vec!["group", "tree", "machine"]);
    prop_oneof![
        (any::<u32>()).prop_map(|version| json!({"request": "hello", "version": version})),
        (worker(), incarnation.clone())
            .prop_map(|(worker, incarnation)| json!({"request": "spawn", "worker": worker, "incarnation": incarnation})),
        (worker(), incarnation.clone(), any::<i32>(), scope.clone()).prop_map(|(worker, incarnation, signal, scope)| {
            json!({"request": "signal", "worker": worker, "incarnation": incarnation, "signal": signal, "scope": scope})
        }),
        (worker(), incarnation.clone(), 1..65_i32, scope).prop_map(|(worker, incarnation, signal, scope)| {
            json!({"request": "signal", "worker": worker, "incarnation": incarnation, "signal": signal, "scope": scope})
        }),
        (worker(), incarnation)
            .prop_map(|(worker, incarnation)| json!({"request": "noted", "worker": worker, "incarnation": incarnation})),
        select(vec!["reload", "shutdown", "execute"]).prop_map(|word| json!({"request": word, "command": ["sh"]})),
    ]
}

fn packet() -> impl Strategy<Value = Packet> {
    let text = request().prop_map(|request| request.to_string().into_bytes()).boxed();
    let damaged = (text.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    let cut = (text.clone(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len()).max(1));
        bytes
    });
    let noise = vec(any::<u8>(), 1..200);
    let large = (MAX_PACKET - 2..MAX_PACKET + 2000).prop_map(|length| vec![b'['; length]);
    let bytes = prop_oneof![6 => text, 2 => damaged, 1 => cut, 1 => noise, 1 => large];
    (bytes, prop_oneof![3 => Just(0_usize), 1 => 1..5_usize])
        .prop_map(|(bytes, descriptors)| Packet { bytes, descriptors })
}

/// Says everything; a keeper that has had enough closes the connection.
fn converse(place: &Place, greet: bool, packets: &[Packet]) {
    let socket = raw_connection(place);
    let hello = Packet { bytes: json!({"request": "hello", "version": VERSION}).to_string().into(), descriptors: 0 };
    for packet in greet.then_some(&hello).into_iter().chain(packets) {
        let numbers = vec![socket.as_raw_fd(); packet.descriptors];
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control: &[ControlMessage<'_>] = if numbers.is_empty() { &[] } else { &rights };
        match sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(&packet.bytes)], control, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => {}
            Err(Errno::EPIPE | Errno::ECONNRESET) => return,
            Err(errno) => panic!("{errno} while saying {packet:?}"),
        }
        drain(&socket);
    }
}

fn drain(socket: &OwnedFd) {
    let mut buffer = vec![0; MAX_PACKET];
    while let Ok(length @ 1..) = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
        let said: Result<Report, _> = serde_json::from_slice(&buffer[..length]);
        assert!(said.is_ok(), "{said:?}");
    }
}

/// Programs that the keeper's children run.
fn programs(keeper: &Keeper) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", keeper.pid())).unwrap();
    let alive =
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).filter(|pid| lives(*pid));
    alive.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()).collect()
}

#[test]
fn whatever_a_brain_says_the_keeper_starts_its_templates_and_touches_its_workers_only() {
    let place = Place::new(TEMPLATES);
    let keeper = place.start();
    // It keeps the keeper from ending when it is asked to.
    let anchor = place.brain().spawned("anchor-1-1", 1);
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let open = || fs::read_dir(format!("/proc/{}/fd", keeper.pid())).unwrap().count();

    let mut runner = TestRunner::new(Config { cases: CONVERSATIONS, failure_persistence: None, ..Config::default() });
    let conversations = (any::<bool>(), vec(packet(), 1..20));
    let outcome = runner.run(&conversations, |(greet, packets)| {
        converse(&place, greet, &packets);
        prop_assert!(lives(keeper.pid()) && lives(anchor), "{}", place.keeper_log());
        for program in programs(&keeper) {
            // Between clone and execve a worker's process still looks like its keeper.
            let known = program == "sleep\x00600\0" || program.contains("keeper") || program.is_empty();
            prop_assert!(known, "{program:?}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));

    assert!(bystander.try_wait().unwrap().is_none(), "nobody else was signalled");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    // All that is left are the workers, each with its one descriptor; a brain that comes now finds nothing strange.
    let mut brain = place.brain();
    let workers: Vec<Report> =
        brain.listing().into_iter().filter(|report| matches!(report, Report::Process { .. })).collect();
    for report in &workers {
        let Report::Process { worker, incarnation, .. } = report else { unreachable!() };
        if worker.queue_type.as_str() != "anchor" {
            brain.signal(
                &worker.to_string(),
                *incarnation,
                Signal::SIGKILL,
                etl_supervisor::keeper::protocol::Scope::Tree,
            );
            brain.exited(&worker.to_string());
        }
    }
    let fresh = Place::new(TEMPLATES);
    let other = fresh.start();
    let mut calm = fresh.brain();
    calm.spawned("anchor-1-1", 1);
    let expected = fs::read_dir(format!("/proc/{}/fd", other.pid())).unwrap().count();
    wait_until(|| format!("{} descriptors are open instead of {expected}", open()), || open() == expected);
}
