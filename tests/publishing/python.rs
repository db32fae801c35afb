//! A backend in Python with pika from `PyPI`, in a virtual environment of its own below the target directory.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};
use system_tests::{
    Platform,
    createmeta::{Shape, createmeta},
    platform::{KIND, message, queue_of},
    stack::{blocking, checkout},
    worker::Worker,
};

/// What to do where Python or its packages cannot be had.
const MISSING: &str = "this test needs python3 with its module venv (Debian: apt-get install python3-venv; scripts/test installs it) \
                       and a package index that pip can reach, for the versions in tests/publishing/requirements.txt";

/// The interpreter of an environment with what `requirements.txt` names; made by the first test that needs it, kept for the next run.
fn python() -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("publishing-python");
    fs::create_dir_all(&place).expect("a directory below the target directory");
    let lock = File::create(place.join("lock")).expect("a file for the lock");
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error).expect("a lock");
    let requirements = checkout().join("tests/publishing/requirements.txt");
    let wanted = fs::read_to_string(&requirements).expect("the requirements are in the checkout");
    let (environment, installed) = (place.join("venv"), place.join("installed"));
    let interpreter = environment.join("bin/python3");
    // An environment whose interpreter has gone, or which an interrupted run left behind, is made anew.
    let usable = Command::new(&interpreter).arg("--version").output().is_ok_and(|output| output.status.success());
    if usable && fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return interpreter;
    }
    let _ = fs::remove_dir_all(&environment);
    finished(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    finished(Command::new(&interpreter).args(pip).arg(&requirements));
    fs::write(&installed, wanted).expect("a note of what is installed");
    interpreter
}

#[track_caller]
fn finished(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}\n{MISSING}"));
    assert!(output.status.success(), "{command:?}: {output:?}\n{MISSING}");
    output
}

/// Lets the backend publish, and returns what it says of each.
async fn backend(platform: &Platform, orders: &[(String, Value)]) -> Vec<String> {
    let lines: Vec<_> =
        orders.iter().map(|(queue, message)| json!({"queue": queue, "message": message}).to_string()).collect();
    let (input, url) = (lines.join("\n"), platform.broker.url().to_owned());
    let output = blocking(move || {
        let mut child = Command::new(python())
            .arg(checkout().join("tests/publishing/backend.py"))
            .env("AMQP_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the backend can be started");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("the backend reads");
        child.wait_with_output().expect("the backend ends")
    })
    .await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn rows_that_a_python_backend_publishes_are_transformed() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let _workers = [Worker::of_tenant(&platform, 1), Worker::of_tenant(&platform, 2)];
    let (mut rows, mut orders) = (Vec::new(), Vec::new());
    for (seed, tenant) in (1..).zip([1, 2, 1, 2, 1]) {
        let row = platform.add_raw(tenant, KIND, &createmeta(seed, Shape::SMALL).document).await;
        let mut message = message(tenant, row);
        // Backends add fields of their own; null and text beyond ASCII among them.
        message["provider"] = json!("Jira – Köln");
        message["job_id"] = Value::Null;
        orders.push((queue_of(tenant), message));
        rows.push(row);
    }
    assert_eq!(backend(&platform, &orders).await, ["confirmed"; 5]);
    platform.completed(&rows).await;
    assert_eq!((platform.counts(1).await.projects, platform.counts(2).await.projects), (3, 2));
    assert!(platform.dead_letters().await.is_empty());
}

#[tokio::test]
async fn a_backend_learns_that_a_tenant_has_no_queue() {
    let platform = Platform::with_tenants(&[1]).await;
    let orders = [(queue_of(404), message(404, 1)), (queue_of(1), message(1, 1))];
    assert_eq!(backend(&platform, &orders).await, ["unroutable", "confirmed"]);
}
