//! What a worker is, and what it cannot do: a probe runs as one and tries.

use std::{collections::BTreeSet, fs, io::Write, path::Path};

use etl_supervisor::{
    keeper::protocol::{Report, Scope, SpawnFailure},
    runtime::overrides::MOST_WORKERS,
    settings::Queue,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::harness::{Brain, Place, dies, lives, name};

/// Says what comes of each attempt, one a line: `ATTEMPT: done` or `ATTEMPT: ERROR`.
const PROBE: &str = r"
import os, socket, sys, time
def attempt(what, how):
    try:
        how()
        print(what + ': done', flush=True)
    except OSError as error:
        print(what + ': ' + error.strerror, flush=True)
def connect(path, kind):
    socket.socket(socket.AF_UNIX, kind).connect(path)
place, other = sys.argv[1], int(sys.argv[2])
mine = os.environ['HOME']
attempt('read a secret of the system', lambda: open('/etc/shadow').read())
attempt('read the configuration', lambda: open(place + '/config.toml').read())
attempt('list logs', lambda: os.listdir(place + '/log'))
attempt('read the log of another', lambda: open(place + '/log/sleep-1-1.log').read())
attempt('read its own log', lambda: open(place + '/log/probe-2-1.log').read())
attempt('open a lease', lambda: open(place + '/run/lease/sleep-1-1', 'r+'))
attempt('read a flight record', lambda: open(place + '/run/flight/sleep-1-1').read())
attempt('list directories of workers', lambda: os.listdir(place + '/run/work'))
attempt('list the directory of another', lambda: os.listdir(place + '/run/work/sleep-1-1'))
attempt('read the user ids', lambda: open(place + '/state/keeper/identities').read())
attempt('write where everybody may', lambda: open('/tmp/etl-probe-%d' % os.getpid(), 'w'))
attempt('speak to the keeper', lambda: connect(place + '/run/keeper.sock', socket.SOCK_SEQPACKET))
attempt('signal another worker', lambda: os.kill(other, 0))
attempt('signal the keeper', lambda: os.kill(os.getppid(), 0))
attempt('read the environment of another', lambda: open('/proc/%d/environ' % other, 'rb').read())
attempt('read the memory of another', lambda: open('/proc/%d/mem' % other, 'rb').read(1))
attempt('become root', lambda: os.setuid(0))
attempt('become the user of another', lambda: os.setuid(os.stat('/proc/%d' % other).st_uid))
attempt('leave the groups', lambda: os.setgroups([0]))
attempt('write at home', lambda: open(mine + '/file', 'w').write('x'))
attempt('make a temporary file', lambda: __import__('tempfile').mkstemp())
attempt('write where it was allowed', lambda: open(place + '/shared/file', 'w').write('x'))
attempt('read where it was allowed', lambda: open(place + '/reference/file').read())
attempt('write where it may read', lambda: open(place + '/reference/file', 'w'))
attempt('open more files than allowed', lambda: [os.dup(0) for _ in range(200)])
print('finished', flush=True)
time.sleep(600)
";

const REFUSED: [&str; 21] = [
    "read a secret of the system",
    "read the configuration",
    "list logs",
    "read the log of another",
    "read its own log",
    "open a lease",
    "read a flight record",
    "list directories of workers",
    "list the directory of another",
    "read the user ids",
    "write where everybody may",
    "speak to the keeper",
    "signal another worker",
    "signal the keeper",
    "read the environment of another",
    "read the memory of another",
    "become root",
    "become the user of another",
    "leave the groups",
    "open more files than allowed",
    "write where it may read",
];
const ALLOWED: [&str; 4] =
    ["write at home", "make a temporary file", "write where it was allowed", "read where it was allowed"];

fn place_with_probe(isolation: &str) -> Place {
    let place = Place::new("");
    for directory in ["shared", "reference"] {
        fs::create_dir(place.path(directory)).unwrap();
    }
    open_to_all(&place.path("shared"));
    let mut reference = fs::File::create(place.path("reference/file")).unwrap();
    reference.write_all(b"x").unwrap();
    open_to_all(&place.path("reference/file"));
    open_to_all(&place.path("config.toml"));
    let at = |name: &str| place.path(name).display().to_string();
    place.configure(&format!(
        "[isolation]\n{isolation}\n[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n\
         [queues.probe]\ncommand = [\"python3\", \"-c\", {PROBE:?}, {:?}, \"OTHER\"]\nopen_files = 100\n\
         writable = [{:?}]\nreadable = [{:?}]\n",
        at("").trim_end_matches('/'),
        at("shared"),
        at("reference"),
    ));
    place
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

/// Runs the probe beside another worker; its pid and what it said of each attempt.
fn probe(place: &Place, brain: &mut Brain) -> (Pid, Vec<(String, String)>) {
    let other = brain.spawned("sleep-1-1", 1);
    // The template names the other one once it is there.
    let config = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), config.replace("\"OTHER\"", &format!("\"{other}\""))).unwrap();
    brain.say(&etl_supervisor::keeper::protocol::Request::Reload);
    let pid = brain.spawned("probe-2-1", 1);
    place.printed("probe-2-1", "finished");
    let log = place.log("probe-2-1");
    let said =
        log.lines().filter_map(|line| line.split_once(": ")).map(|(what, came)| (what.to_owned(), came.to_owned()));
    (pid, said.collect())
}

fn done(said: &[(String, String)]) -> Vec<&str> {
    said.iter().filter(|(_, came)| came == "done").map(|(what, _)| what.as_str()).collect()
}

fn status_of(pid: Pid, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{field} in {status}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_worker_can_do_what_it_is_there_for_and_nothing_else() {
    let place = place_with_probe("");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (pid, said) = probe(&place, &mut brain);
    assert_eq!(said.len(), REFUSED.len() + ALLOWED.len(), "{said:?}");
    assert_eq!(done(&said), ALLOWED, "{said:#?}");

    let user = place.first_user() + 1;
    let every = format!("{user} {user} {user} {user}");
    assert_eq!((status_of(pid, "Uid"), status_of(pid, "Gid")), (every.clone(), every), "the second tenant");
    assert_eq!(status_of(pid, "Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"] {
        assert_eq!(status_of(pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(status_of(pid, "NoNewPrivs"), "1");
    let home = place.path("run/work/probe-2-1");
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), home);
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    // All processes of the user count, and a limit cannot be raised: as many workers as may ever be set, and one that stands in.
    let processes = Queue::default().tasks_max * (u64::from(MOST_WORKERS) + 1);
    let processes = processes.to_string();
    for (limit, value) in [("Max core file size", "0"), ("Max open files", "100"), ("Max processes", &processes)] {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit)).unwrap();
        assert_eq!(line.split_whitespace().take(2).collect::<Vec<_>>(), [value, value], "{limit}");
    }
    let down: Vec<_> = brain.hello.walls.iter().filter(|wall| !wall.up).map(|wall| wall.name.as_str()).collect();
    assert_eq!(down, ["cgroups", "memory", "cpu"], "{:?}", brain.hello.walls);
}

#[test]
fn landlock_alone_keeps_a_worker_of_our_own_user_from_what_it_does_not_need() {
    let place = place_with_probe("users = \"off\"");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (_, said) = probe(&place, &mut brain);
    // It is root already, if without capabilities, and a socket is not opened like a file.
    let left = ["speak to the keeper", "become root", "become the user of another"];
    let done: BTreeSet<&str> = done(&said).into_iter().collect();
    assert_eq!(done, ALLOWED.into_iter().chain(left).collect(), "{said:#?}");
    let down = |name: &str| brain.hello.walls.iter().any(|wall| wall.name == name && !wall.up);
    assert!(down("users") && down("privileges"), "{:?}", brain.hello.walls);
}

#[test]
fn another_user_alone_keeps_a_worker_from_what_is_not_its_own() {
    let place = place_with_probe("filesystem = \"off\"");
    let _keeper = place.start();
    let mut brain = place.brain();
    let (probe, said) = probe(&place, &mut brain);
    // The test has opened these to everybody.
    let open = ["read the configuration", "write where everybody may", "write where it may read"];
    let done: BTreeSet<&str> = done(&said).into_iter().collect();
    assert_eq!(done, ALLOWED.into_iter().chain(open).collect(), "{said:#?}");
    fs::remove_file(format!("/tmp/etl-probe-{probe}")).unwrap();
}

#[test]
fn a_keeper_without_rights_starts_workers_and_says_which_walls_are_missing() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\nready = \"exec\"\n");
    std::os::unix::fs::chown(place.path(""), Some(65_534), Some(65_534)).unwrap();
    std::os::unix::fs::chown(place.config(), Some(65_534), Some(65_534)).unwrap();
    let keeper = "exec setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set=-all --inh-caps=-all \"$@\"";
    let _keeper = place.start_through(keeper);
    let mut brain = place.brain();
    let worker = brain.spawned("sleep-1-1", 1);
    assert_eq!(status_of(worker, "Uid").split(' ').next(), Some("65534"));
    assert_eq!(status_of(worker, "CapPrm"), "0000000000000000");
    let users = brain.hello.walls.iter().find(|wall| wall.name == "users").unwrap();
    assert!(!users.up && users.detail.contains("CAP_SETUID"), "{users:?}");
    let filesystem = brain.hello.walls.iter().find(|wall| wall.name == "filesystem").unwrap();
    assert!(filesystem.up, "{filesystem:?}");
}

fn failure(brain: &mut Brain, worker: &str) -> String {
    brain.spawn(worker, 1);
    brain.until(|report| match report {
        Report::SpawnFailed { worker: of, failure: SpawnFailure::Failed { step, error, .. }, .. }
            if *of == name(worker) =>
        {
            Some(format!("{step}: {error}"))
        }
        Report::Spawned { .. } | Report::SpawnFailed { .. } => panic!("{report:?}"),
        _ => None,
    })
}

#[test]
fn nothing_is_started_without_a_wall_that_is_required() {
    let template = "[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n";
    let place = Place::new("");
    place.configure(&format!("[isolation]\ncgroups = \"required\"\n{template}"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let said = failure(&mut brain, "sleep-1-1");
    assert!(said.contains("isolation.cgroups is required") && said.contains("Delegate"), "{said}");

    let place = Place::new(&format!("[isolation]\nusers = \"required\"\n{template}"));
    let hidden = place.path("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::copy("/bin/sleep", hidden.join("sleep")).unwrap();
    fs::set_permissions(&hidden, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let program = hidden.join("sleep").display().to_string();
    place.configure(&format!("[isolation]\nusers = \"required\"\n[queues.sleep]\ncommand = [{program:?}, \"600\"]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let said = failure(&mut brain, "sleep-1-1");
    assert!(said.contains("isolation.users is required") && said.contains("mode 700"), "{said}");
}

/// The last number of the range is nobody's.
#[test]
fn a_tenant_for_whom_no_user_is_left_is_refused_and_the_others_go_on() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    let first = place.first_user();
    let config = fs::read_to_string(place.config()).unwrap();
    let range = format!("{first}..{}", first + 2047);
    assert!(config.contains(&range), "{config}");
    fs::write(place.config(), config.replace(&range, &format!("{first}..{}", first + 2))).unwrap();
    let _keeper = place.start();
    let mut brain = place.brain();
    brain.spawned("sleep-1-1", 1);
    brain.spawned("sleep-2-1", 1);
    let said = failure(&mut brain, "sleep-3-1");
    assert!(said.contains("larger range"), "{said}");
    brain.spawned("sleep-2-2", 1);
}

#[test]
fn user_ids_that_cannot_be_read_start_nobody() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    fs::create_dir_all(place.path("state/keeper")).unwrap();
    fs::write(place.path("state/keeper/identities"), "7 one\n").unwrap();
    let _keeper = place.start();
    let said = failure(&mut place.brain(), "sleep-1-1");
    assert!(said.contains("damaged in line 1"), "{said}");
}

#[test]
fn tenants_that_were_users_of_their_own_do_not_become_the_keeper_when_that_ceases_to_be_possible() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    let keeper = place.start();
    place.brain().spawned("sleep-1-1", 1);
    drop(keeper);
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o700)).unwrap();
    let _keeper = place.start();
    let mut brain = place.brain();
    let said = failure(&mut brain, "sleep-1-1");
    assert!(said.contains("mode 700") && said.contains("isolation.users = \"off\""), "{said}");
    let wall = brain.hello.walls.iter().find(|wall| wall.name == "users").unwrap();
    assert!(!wall.up && wall.detail.contains("mode 700"), "{wall:?}");
    let config = fs::read_to_string(place.config()).unwrap();
    fs::write(place.config(), config.replace("[isolation]\n", "[isolation]\nusers = \"off\"\n")).unwrap();
    brain.say(&etl_supervisor::keeper::protocol::Request::Reload);
    brain.spawned("sleep-1-1", 2);
}

#[test]
fn a_worker_finds_its_directory_empty_whatever_the_one_before_it_left() {
    let script =
        "ls -A | sed 's/^/found /'; echo looked; mkdir -p a/b/c; ln -s /etc/passwd link; chmod 000 a; exec sleep 600";
    let place = Place::new(&format!("[queues.messy]\ncommand = [\"sh\", \"-c\", {script:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    for incarnation in 1..=3 {
        let pid = brain.spawned("messy-1-1", incarnation);
        place.printed("messy-1-1", "looked");
        crate::harness::wait_until(
            || "it sleeps".to_owned(),
            || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n"),
        );
        kill(pid, Signal::SIGKILL).unwrap();
        brain.exited("messy-1-1");
        fs::write(place.path(&format!("log-{incarnation}")), place.log("messy-1-1")).unwrap();
        assert!(!place.log("messy-1-1").contains("found"), "{}", place.log("messy-1-1"));
        fs::remove_file(place.path("log/messy-1-1.log")).unwrap();
    }
    assert!(Path::new("/etc/passwd").exists());
}

/// A process that has closed everything, cleared its environment, left its session twice and lost its parent.
const GHOST: &str = "import os, sys, time\n\
    if os.fork(): time.sleep(600)\n\
    os.setsid()\n\
    if os.fork(): os._exit(0)\n\
    os.setsid()\n\
    if os.fork(): os._exit(0)\n\
    print('ghost', os.getpid(), flush=True)\n\
    os.closerange(0, 1000)\n\
    os.execve('/bin/sleep', ['sleep', '600'], {})\n";

fn ghost(place: &Place, brain: &mut Brain, worker: &str) -> (Pid, Pid) {
    let main = brain.spawned(worker, 1);
    let ghost = Pid::from_raw(place.printed(worker, "ghost ").parse().unwrap());
    crate::harness::wait_until(
        || "the ghost has become a sleep".to_owned(),
        || fs::read_to_string(format!("/proc/{ghost}/cmdline")).is_ok_and(|line| line.starts_with("sleep\0")),
    );
    (main, ghost)
}

#[test]
fn nobody_of_a_tenant_survives_its_worker_however_it_hides() {
    let place = Place::new(&format!("[queues.haunt]\ncommand = [\"python3\", \"-c\", {GHOST:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let (main, stray) = ghost(&place, &mut brain, "haunt-1-1");
    let (neighbour, other_stray) = ghost(&place, &mut brain, "haunt-2-1");
    kill(main, Signal::SIGKILL).unwrap();
    brain.exited("haunt-1-1");
    assert!(!lives(stray), "an exit is told only when nobody is left");
    assert!(lives(neighbour) && lives(other_stray), "another tenant is another user");
    brain.signal("haunt-2-1", 1, Signal::SIGKILL, Scope::Tree);
    brain.exited("haunt-2-1");
    assert!(!lives(neighbour) && !lives(other_stray));
}

#[test]
fn a_ghost_of_one_of_two_workers_of_a_tenant_goes_with_the_last_of_them() {
    let place = Place::new(&format!("[queues.haunt]\ncommand = [\"python3\", \"-c\", {GHOST:?}]\n"));
    let _keeper = place.start();
    let mut brain = place.brain();
    let (first, ghost_of_first) = ghost(&place, &mut brain, "haunt-1-1");
    let (second, ghost_of_second) = ghost(&place, &mut brain, "haunt-1-2");
    kill(first, Signal::SIGKILL).unwrap();
    brain.exited("haunt-1-1");
    assert!(lives(second) && lives(ghost_of_second), "it is not its user alone");
    kill(second, Signal::SIGKILL).unwrap();
    brain.exited("haunt-1-2");
    assert!(!lives(ghost_of_first) && !lives(ghost_of_second));
}

#[test]
fn a_keeper_begins_with_the_ghosts_of_the_one_before_it() {
    let place = Place::new(&format!("[queues.haunt]\ncommand = [\"python3\", \"-c\", {GHOST:?}]\n"));
    let mut keeper = place.start();
    let (main, stray) = ghost(&place, &mut place.brain(), "haunt-1-1");
    keeper.signal(Signal::SIGKILL);
    keeper.ended();
    dies(main);
    assert!(lives(stray), "nobody was there to take it along");
    let _next = place.start();
    dies(stray);
}
