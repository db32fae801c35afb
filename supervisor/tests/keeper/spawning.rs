//! What a process is started with, and what is said when it cannot be started.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use etl_supervisor::keeper::{
    credentials_memfd,
    protocol::{Report, Request, SpawnFailure},
};
use nix::unistd::{Pid, getsid};

use crate::harness::{Place, name, wait_until};

#[test]
fn a_worker_finds_what_was_promised_and_nothing_of_the_keepers() {
    let script = r#"
        env | sort | sed 's/^/env /'
        echo "umask $(umask)"; echo "arguments $*"; read -r line; echo "stdin [$line]"; echo "done" >&2
        exec sleep 600"#;
    let place = Place::new(&format!(
        "[queues.show]\ncommand = [\"sh\", \"-c\", {script:?}, \"sh\", \"{{queue}}\", \"{{slot}}\"]\n\
         working_directory = \"/usr\"\n[queues.show.environment]\nEXTRA = \"yes\"\n"
    ));
    let _keeper = place.start();
    let mut brain = place.brain();
    brain.spawn_with("show-7-2", 5, credentials_memfd(&"secret".to_owned().into()).unwrap());
    let pid = brain.until(|report| match report {
        Report::Spawned { pid, .. } => Some(Pid::from_raw(*pid)),
        _ => None,
    });
    place.printed("show-7-2", "done");
    let asleep = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains("(sleep) S ");
    wait_until(|| "the script has become a sleep".to_owned(), asleep);
    let log = place.log("show-7-2");
    let of_process = |file: &str| PathBuf::from(format!("/proc/{pid}/{file}"));
    let values = |kind: &str| {
        let begin = format!("{kind} ");
        log.lines().filter_map(move |line| line.strip_prefix(&begin).map(str::to_owned)).collect::<Vec<_>>()
    };

    let environment = values("env");
    let names: BTreeSet<&str> = environment.iter().filter_map(|variable| variable.split('=').next()).collect();
    // One of them is the shell's own.
    let expected = [
        "ETL_CREDENTIALS_FD",
        "ETL_FLIGHT_FD",
        "ETL_INCARNATION",
        "ETL_WORKER",
        "EXTRA",
        "HOME",
        "LANG",
        "LOGNAME",
        "NOTIFY_SOCKET",
        "PATH",
        "PWD",
        "TMPDIR",
        "USER",
    ];
    let optional = ["OLDPWD", "SHLVL", "_"];
    assert_eq!(names.iter().copied().filter(|name| !optional.contains(name)).collect::<Vec<_>>(), expected);
    assert!(
        environment.contains(&"ETL_WORKER=show-7-2".to_owned()) && environment.contains(&"ETL_INCARNATION=5".into())
    );

    let lease = place.lease("show-7-2").display().to_string();
    let flight = place.path("run/flight/show-7-2").display().to_string();
    let output = place.path("log/show-7-2.log").display().to_string();
    let open = fs::read_dir(of_process("fd")).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let target = fs::read_link(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap().parse::<u32>().unwrap(), target.display().to_string())
    });
    let expected = [
        (0, "/dev/null".to_owned()),
        (1, output.clone()),
        (2, output.clone()),
        (3, lease.clone()),
        (4, "/memfd:credentials (deleted)".to_owned()),
        (5, flight.clone()),
    ];
    assert_eq!(open.collect::<BTreeMap<_, _>>(), expected.into());
    assert_eq!(fs::read_to_string(&lease).unwrap(), format!("{pid}\n"), "the lease says who holds it");

    let status = fs::read_to_string(of_process("status")).unwrap();
    for line in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(status.lines().any(|found| found == line), "{line} in {status}");
    }
    assert_eq!(getsid(Some(pid)).unwrap(), pid, "it leads its own session");
    assert_eq!(fs::read_link(of_process("cwd")).unwrap(), Path::new("/usr"));
    assert_eq!(values("umask"), ["0077"]);
    assert_eq!(values("arguments"), ["show_queue_tenant_7 2"]);
    assert_eq!(values("stdin"), ["[]"]);

    for (file, mode) in [(lease, 0o600), (flight, 0o640), (output, 0o640)] {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, mode, "{file}");
    }
}

#[test]
fn the_keepers_place_in_the_order_of_oom_victims_is_its_own() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    // A service manager would give it a protected place; an exposed one is one that anybody may take.
    let _keeper = place.start_through("echo 300 > /proc/self/oom_score_adj");
    let mut brain = place.brain();
    let worker = brain.spawned("sleep-1-1", 1);
    let score = |pid: Pid| fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    assert_eq!(score(worker), "400\n", "a worker goes first");
    assert_eq!(score(Pid::from_raw(brain.hello.pid)), "300\n");
}

#[test]
fn nobody_is_given_more_open_files_than_the_keeper_may_have() {
    let place = Place::new("[queues.sleep]\ncommand = [\"sleep\", \"600\"]\n");
    let _keeper = place.start_through("ulimit -Sn 256; ulimit -Hn 512");
    let mut brain = place.brain();
    let worker = brain.spawned("sleep-1-1", 1);
    let limit = |pid: Pid| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        line.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(limit(worker), ["512", "512"], "less than the 1024 of the configuration");
    assert_eq!(limit(Pid::from_raw(brain.hello.pid)), ["512", "512"]);
}

#[test]
fn credentials_are_read_from_their_descriptor_and_absent_where_none_came() {
    let place =
        Place::new("[queues.read]\ncommand = [\"sh\", \"-c\", 'echo \"${ETL_CREDENTIALS_FD-none}\"; cat <&4']\n");
    let _keeper = place.start();
    let mut brain = place.brain();
    brain.spawn_with("read-1-1", 1, credentials_memfd(&"hunter2".to_owned().into()).unwrap());
    brain.spawn("read-2-1", 1);
    brain.exited("read-1-1");
    assert_eq!(place.log("read-1-1"), "4\nhunter2");
    if !brain
        .heard()
        .iter()
        .any(|report| matches!(report, Report::Exited { worker, .. } if *worker == name("read-2-1")))
    {
        brain.exited("read-2-1");
    }
    assert!(place.log("read-2-1").starts_with("none\n"));
}

/// Says that it warms up, then that it is ready, and stays.
const READY: &str = "import os, socket, time; say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); \
                     say.sendto(b'STATUS=warming up\\nREADY=1', os.environ['NOTIFY_SOCKET']); time.sleep(600)";

#[test]
fn a_worker_is_ready_when_it_says_so_itself_or_through_a_helper() {
    let place = Place::new(&format!(
        "[queues.itself]\ncommand = [\"/usr/bin/python3\", \"-c\", {READY:?}]\n\
         [queues.helper]\ncommand = [\"sh\", \"-c\", '/usr/bin/python3 -c \"$0\"; true', {READY:?}]\n\
         [queues.exec]\ncommand = [\"sleep\", \"600\"]\nready = \"exec\"\n\
         [queues.never]\ncommand = [\"sleep\", \"600\"]\n"
    ));
    let _keeper = place.start();
    let mut brain = place.brain();
    let mut waiting: BTreeSet<_> = ["itself-1-1", "helper-1-1", "exec-1-1"].map(name).into();
    brain.spawn("never-1-1", 3);
    for worker in &waiting {
        brain.spawn(&worker.to_string(), 3);
    }
    brain.until(|report| {
        if let Report::Ready { worker, incarnation: 3 } = report {
            assert!(waiting.remove(worker), "{worker} said it twice, or is one that never says it");
        }
        waiting.is_empty().then_some(())
    });
    // A brain that comes later is told the same.
    drop(brain);
    for report in place.brain().listing() {
        let Report::Process { worker, ready, .. } = report else { panic!("{report:?}") };
        assert_eq!(ready, worker != name("never-1-1"), "{worker}");
    }
}

#[test]
fn a_process_that_cannot_be_started_is_explained() {
    let place = Place::new("");
    let file = |name: &str, text: &str, mode: u32| {
        let path = place.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let plain = file("plain", "#!/bin/sh\n", 0o644);
    let orphaned = file("orphaned", "#!/no/such/interpreter\n", 0o755);
    let nonsense = file("nonsense", "\u{1}\u{2}", 0o755);
    let directory = place.path("").display().to_string();
    let cases = [
        ("absent", "no-such-program".to_owned(), "/", "find the program no-such-program in ", "No such file"),
        ("path", "/no/such/program".to_owned(), "/", "execute /no/such/program", "No such file"),
        ("plain", plain, "/", "plain", "Permission denied"),
        ("directory", directory, "/", "execute ", "Is a directory"),
        ("orphaned", orphaned, "/", "interpreter", "No such file"),
        ("nonsense", nonsense, "/", "nonsense", "Exec format error"),
        ("nowhere", "true".to_owned(), "/no/such/place", "change to the directory /no/such/place", "No such file"),
    ];
    let templates = cases.iter().map(|(queue, program, directory, ..)| {
        format!("[queues.{queue}]\ncommand = [{program:?}]\nworking_directory = {directory:?}\n")
    });
    place.configure(&templates.collect::<String>());
    let _keeper = place.start();
    let mut brain = place.brain();
    for (queue, _, _, expected_step, expected_error) in cases {
        let worker = format!("{queue}-1-1");
        brain.spawn(&worker, 1);
        let failure = brain.until(|report| match report {
            Report::SpawnFailed { worker: of, incarnation: 1, failure } if *of == name(&worker) => {
                Some(failure.clone())
            }
            Report::Spawned { .. } => panic!("{report:?}"),
            _ => None,
        });
        let SpawnFailure::Failed { step, error, errno } = failure else { panic!("{failure:?}") };
        assert!(step.contains(expected_step) && error.contains(expected_error), "{queue}: {step}: {error}");
        assert_ne!(errno, 0);
    }
    drop(brain);
    assert_eq!(place.brain().listing(), [], "a process that was never started left something behind");
}

#[test]
fn a_template_is_known_once_the_configuration_that_has_it_has_been_read() {
    let place = Place::new("[queues.old]\ncommand = [\"sleep\", \"600\"]\n");
    let _keeper = place.start();
    let mut brain = place.brain();
    assert_eq!(brain.hello.queue_types, ["old".parse().unwrap()]);
    let unknown = |report: &Report| match report {
        Report::SpawnFailed { failure, .. } => Some(failure.clone()),
        Report::Spawned { .. } => panic!("{report:?}"),
        _ => None,
    };
    brain.spawn("new-1-1", 1);
    assert_eq!(brain.until(unknown), SpawnFailure::UnknownTemplate);

    place.configure("[queues.new]\ncommand = []\n");
    brain.say(&Request::Reload);
    let refused = brain.until(|report| match report {
        Report::Refused { detail } => Some(detail.clone()),
        _ => None,
    });
    assert!(refused.contains("queues.new.command is empty"), "{refused}");
    brain.spawned("old-1-1", 1);

    place.configure("[queues.new]\ncommand = [\"sleep\", \"600\"]\n");
    brain.say(&Request::Reload);
    brain.spawned("new-1-1", 2);
    brain.spawn("old-2-1", 1);
    assert_eq!(brain.until(unknown), SpawnFailure::UnknownTemplate);
}

#[test]
fn a_log_that_has_grown_too_large_is_set_aside_at_the_next_start() {
    let place = Place::new("[queues.talk]\ncommand = [\"echo\", \"twelve bytes\"]\nlog_max_size = \"20B\"\n");
    let _keeper = place.start();
    let mut brain = place.brain();
    for incarnation in 1..=3 {
        brain.spawn("talk-1-1", incarnation);
        brain.exited("talk-1-1");
    }
    assert_eq!(place.log("talk-1-1").lines().count(), 1);
    assert_eq!(fs::read_to_string(place.path("log/talk-1-1.log.1")).unwrap().lines().count(), 2);
}
