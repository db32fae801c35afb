//! The brain: nonsense, impatience, silence and absence do not disturb the keeper.

use std::{
    io::IoSlice,
    os::fd::{AsRawFd, OwnedFd},
    thread::sleep,
    time::Duration,
};

use etl_supervisor::keeper::{
    ClientError,
    protocol::{MAX_PACKET, Report, Request, VERSION},
};
use nix::sys::{
    signal::Signal,
    socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, sendmsg,
        setsockopt, socket, sockopt::ReceiveTimeout,
    },
    time::{TimeVal, TimeValLike},
};

use crate::harness::{Brain, DEADLINE, Place, name, wait_until};

const SLEEP: &str = "[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n";

fn hello() -> String {
    format!(r#"{{"request":"hello","version":{VERSION}}}"#)
}

/// A connection without the client's manners.
pub(crate) fn raw_connection(place: &Place) -> OwnedFd {
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(socket.as_raw_fd(), &UnixAddr::new(&place.path("run/keeper.sock")).unwrap()).unwrap();
    let patience = TimeVal::seconds(DEADLINE.as_secs().try_into().unwrap());
    setsockopt(&socket, ReceiveTimeout, &patience).unwrap();
    socket
}

fn say(socket: &OwnedFd, bytes: &[u8]) {
    send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL).unwrap();
}

fn hear(socket: &OwnedFd) -> Report {
    let mut buffer = vec![0; MAX_PACKET];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
    serde_json::from_slice(&buffer[..length]).unwrap_or_else(|error| panic!("{error}: {length} bytes"))
}

fn refusal(report: Report) -> String {
    match report {
        Report::Refused { detail } => detail,
        other => panic!("{other:?}"),
    }
}

#[test]
fn nonsense_is_refused_and_the_conversation_goes_on() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let socket = raw_connection(&place);
    say(&socket, br#"{"request":"shutdown"}"#);
    assert!(refusal(hear(&socket)).contains("begin with hello"));
    say(&socket, hello().as_bytes());
    assert!(matches!(hear(&socket), Report::Hello { .. }));
    assert_eq!(hear(&socket), Report::Listed);
    let deep = "[".repeat(10_000);
    let path = r#"{"request":"spawn","worker":"../../etc/passwd-1-1","incarnation":1}"#;
    for nonsense in ["x", "{}", "\u{0}\u{ff}", r#"{"request":"format_disk"}"#, &deep, path] {
        say(&socket, nonsense.as_bytes());
        assert!(refusal(hear(&socket)).contains("no request"), "{nonsense}");
    }
    say(&socket, &vec![b' '; MAX_PACKET + 1]);
    assert!(refusal(hear(&socket)).contains("more than 16384 bytes"));
    say(&socket, br#"{"request":"spawn","worker":"sleep-1-1","incarnation":1}"#);
    assert!(matches!(hear(&socket), Report::Spawned { .. }));
    for signal in [0, -1, 9999] {
        let request =
            format!(r#"{{"request":"signal","worker":"sleep-1-1","incarnation":1,"signal":{signal},"scope":"group"}}"#);
        say(&socket, request.as_bytes());
        assert!(refusal(hear(&socket)).contains("no such signal"));
    }
    say(&socket, br#"{"request":"shutdown"}"#);
    assert!(refusal(hear(&socket)).contains("1 processes live"));
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed_again() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let socket = raw_connection(&place);
    say(&socket, hello().as_bytes());
    assert!(matches!(hear(&socket), Report::Hello { .. }));
    assert_eq!(hear(&socket), Report::Listed);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", keeper.pid())).unwrap().count();
    let before = open();
    let many = [socket.as_raw_fd(); 200];
    for _ in 0..20 {
        let packet = [IoSlice::new(b"nonsense")];
        sendmsg::<()>(socket.as_raw_fd(), &packet, &[ControlMessage::ScmRights(&many)], MsgFlags::empty(), None)
            .unwrap();
        refusal(hear(&socket));
    }
    assert_eq!(open(), before);
}

#[test]
fn a_keeper_of_another_version_says_so() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let socket = raw_connection(&place);
    say(&socket, br#"{"request":"hello","version":999}"#);
    let refusal = refusal(hear(&socket));
    // A brain of any version knows it by these words.
    assert!(refusal.contains(&format!("version {VERSION} of the protocol, not 999")), "{refusal}");
    assert_eq!(recv(socket.as_raw_fd(), &mut [0; 8], MsgFlags::empty()), Ok(0));
}

#[test]
fn a_second_brain_is_turned_away_until_the_first_one_has_gone() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let mut first = place.brain();
    let Err(ClientError::Refused(detail)) = Brain::try_connect(&place) else { panic!("two brains at once") };
    assert!(detail.contains(&format!("another supervisor (process {})", std::process::id())), "{detail}");
    first.spawned("sleep-1-1", 1);
    // What the first one said last is done before the second one is heard, although nobody waited for it.
    first.spawn("sleep-2-1", 1);
    drop(first);
    let mut second = place.brain();
    assert_eq!(second.listing().len(), 2);
    second.spawned("sleep-3-1", 1);
}

#[test]
fn what_a_brain_said_before_it_died_is_done_before_the_next_one_is_told_how_things_are() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let first = raw_connection(&place);
    say(&first, hello().as_bytes());
    assert!(matches!(hear(&first), Report::Hello { .. }));
    keeper.signal(Signal::SIGSTOP);
    // More than the keeper carries out in one go.
    for incarnation in 1..=100 {
        let request = Request::Spawn { worker: name("unknown-1-1"), incarnation };
        say(&first, &serde_json::to_vec(&request).unwrap());
    }
    say(&first, br#"{"request":"spawn","worker":"sleep-1-1","incarnation":1}"#);
    nix::sys::socket::shutdown(first.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
    let second = raw_connection(&place);
    say(&second, hello().as_bytes());
    keeper.signal(Signal::SIGCONT);
    assert!(matches!(hear(&second), Report::Hello { .. }));
    assert!(matches!(hear(&second), Report::Process { .. }));
}

#[test]
fn somebody_who_connects_and_says_nothing_keeps_nobody_out() {
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let _silent = raw_connection(&place);
    place.brain().spawned("sleep-1-1", 1);
}

#[test]
fn a_brain_that_does_not_read_holds_nobody_up() {
    const REQUESTS: u64 = 3000;
    let place = Place::new(SLEEP);
    let _keeper = place.start();
    let socket = raw_connection(&place);
    say(&socket, hello().as_bytes());
    // Far more answers than the socket has room for.
    for incarnation in 1..=REQUESTS {
        let request = Request::Spawn { worker: name("unknown-1-1"), incarnation };
        say(&socket, &serde_json::to_vec(&request).unwrap());
    }
    say(&socket, br#"{"request":"spawn","worker":"sleep-1-1","incarnation":1}"#);
    wait_until(|| "the keeper works on".to_owned(), || place.path("log/sleep-1-1.log").exists());
    assert!(matches!(hear(&socket), Report::Hello { .. }));
    assert_eq!(hear(&socket), Report::Listed);
    for expected in 1..=REQUESTS {
        let Report::SpawnFailed { incarnation, .. } = hear(&socket) else { panic!("something is missing") };
        assert_eq!(incarnation, expected, "in the order in which it was said");
    }
    assert!(matches!(hear(&socket), Report::Spawned { .. }));
}

#[test]
fn a_client_never_waits_for_a_keeper_that_does_not_read() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let mut brain = place.brain();
    brain.listing();
    keeper.signal(Signal::SIGSTOP);
    for incarnation in 1..=5000 {
        brain.spawn("unknown-1-1", incarnation);
    }
    keeper.signal(Signal::SIGCONT);
    for expected in 1..=5000 {
        let Report::SpawnFailed { incarnation, .. } = brain.hear().unwrap() else { panic!() };
        assert_eq!(incarnation, expected);
    }
}

#[test]
fn the_end_of_the_keeper_is_the_end_of_the_conversation() {
    let place = Place::new(SLEEP);
    let mut keeper = place.start();
    let mut brain = place.brain();
    brain.listing();
    brain.say(&Request::Shutdown);
    assert!(keeper.ended().success());
    assert!(matches!(brain.hear(), Err(ClientError::Closed)));
    assert!(matches!(Brain::try_connect(&place), Err(ClientError::Connect { .. })));
}

#[test]
fn an_idle_keeper_sleeps() {
    let place = Place::new(SLEEP);
    let keeper = place.start();
    let mut brain = place.brain();
    brain.spawned("sleep-1-1", 1);
    brain.signal("sleep-1-1", 1, Signal::SIGTERM, etl_supervisor::keeper::protocol::Scope::Group);
    brain.exited("sleep-1-1");
    brain.spawned("sleep-1-1", 2);
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", keeper.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    // Whatever has still to be done after the exit is done once.
    let mut before = switches();
    wait_until(
        || format!("the keeper sleeps; it has woken {} times", switches()),
        || {
            sleep(Duration::from_millis(300));
            std::mem::replace(&mut before, switches()) == before
        },
    );
}
