//! Secrets: whoever looks for them where anybody may look finds none.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use etl_shared::api::Role;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};
use system_tests::{
    Setup, Supervisor, accounts::Installation, eventually, fleet, http::Call, platform::queue_of, processes,
    waiting::SOON,
};

/// What answers something to an administrator.
const READ: [&str; 6] = [
    "/api/v1/admin/workers/status",
    "/api/v1/admin/workers/tenant/1/status",
    "/api/v1/admin/credentials",
    "/api/v1/admin/tenants",
    "/api/v1/admin/tokens",
    "/api/v1/admin/dead-letters",
];
/// What prints something to an operator.
const SAID: [&[&str]; 5] =
    [&["status", "-o", "wide"], &["status", "-o", "json"], &["doctor"], &["check"], &["tenants"]];

/// A secret, and what it is.
type Secret = (String, String);

/// The password inside of a URL.
fn password_of(url: &str) -> String {
    let (user, _) = url.split_once("://").and_then(|(_, rest)| rest.split_once('@')).expect("a URL with a login");
    user.split_once(':').map_or("", |(_, password)| password).to_owned()
}

fn secrets_of(installation: &Installation) -> Vec<Secret> {
    let file = installation.settings.credentials.master_key_file.as_ref().expect("a master key");
    let mut secrets = vec![("the master key".to_owned(), fs::read_to_string(file).expect("the master key"))];
    for tenant in [1, 2] {
        for generation in [1, 2] {
            let whose = |what: &str| format!("{what} of tenant {tenant}, generation {generation}");
            secrets.push((whose("broker password"), password_of(&installation.broker_url(tenant, generation))));
            secrets.push((whose("database password"), password_of(&installation.database_url(tenant, generation))));
        }
    }
    assert!(secrets.iter().all(|(_, secret)| secret.len() >= 32), "these could be found by chance");
    secrets
}

/// Every file below a directory.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind of file"));
        if kind.is_dir() {
            files(&path, found);
        } else if kind.is_file() {
            found.push((path.display().to_string(), fs::read(&path).unwrap_or_default()));
        }
    }
}

#[tokio::test]
async fn no_secret_stands_where_anybody_may_look() {
    let (installation, accounts) = Installation::with_tenants(&[1, 2]).await;
    drop(accounts);
    let setup: Setup = installation.setup.clone().set("queues.transform", "environment", "{ RUST_LOG = \"trace\" }");
    let supervisor = Supervisor::start(&setup).await;
    let status = supervisor.until_running(&[1, 2]).await;
    let token = supervisor.token(Role::Admin, None).await;
    // Something goes well, something goes wrong, and something is exchanged.
    let platform = &installation.platform;
    platform.broker.publish(&queue_of(1), b"no message").await;
    eventually("the worker says what it thinks of it", SOON, async || {
        let letters = platform.dead_letters().await;
        if letters.is_empty() { Err("no letter yet".to_owned()) } else { Ok(()) }
    })
    .await;
    supervisor.cli_ok(&["rotate", "1"]).await;
    // One whose login is refused says so.
    let name = installation.name(2, 1);
    let refuse = format!("ALTER ROLE {name} PASSWORD 'another'");
    platform.database.connect_as_admin().await.batch_execute(&refuse).await.expect("another password");
    processes::signal(fleet::pid(&status, 2).expect("a process"), Signal::SIGKILL);
    let raw = platform.add_raw(2, "jira_custom_fields", &serde_json::json!({"projects": []})).await;
    platform.publish(&queue_of(2), &system_tests::platform::message(2, raw)).await;
    platform.ended(raw).await;

    let mut seen: Vec<(String, Vec<u8>)> = Vec::new();
    for pid in supervisor.processes() {
        for name in ["cmdline", "environ"] {
            seen.push((format!("{name} of {pid}"), fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default()));
        }
    }
    assert!(seen.len() >= 8, "brain, keeper and two workers");
    files(supervisor.directory(), &mut seen);
    for path in READ {
        let reply = supervisor.socket(Call::get(path)).await.expect("the API answers");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        seen.push((path.to_owned(), format!("{reply:?}").into_bytes()));
    }
    for arguments in SAID {
        let printed = supervisor.cli(arguments).await;
        seen.push((format!("{arguments:?}"), format!("{printed:?}").into_bytes()));
    }
    let mut secrets = secrets_of(&installation);
    secrets.push(("an API token".to_owned(), token));
    let holds = |bytes: &[u8], secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
    let found: Vec<String> = seen
        .iter()
        .flat_map(|(place, bytes)| {
            let inside = secrets.iter().filter(|(_, secret)| holds(bytes, secret));
            inside.map(move |(what, _)| format!("{what} in {place}")).collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    // That the search finds what is there: the name of the account stands in the configuration's directory, in a log.
    assert!(seen.iter().any(|(_, bytes)| holds(bytes, &queue_of(1))), "nothing at all was found");
}

#[tokio::test]
async fn nobody_leaves_a_core_dump() {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).expect("a limit");
    setrlimit(Resource::RLIMIT_CORE, hard, hard).expect("the limit can be raised");
    let mut supervisor = Supervisor::start(&Setup::scripted("[1]")).await;
    let status = supervisor.until_running(&[1]).await;
    let worker = fleet::pid(&status, 1).expect("a process");
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of core files");
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");

    supervisor.signal(Signal::SIGABRT);
    let ended = supervisor.ended().await;
    assert_eq!(ended.signal(), Some(Signal::SIGABRT as i32), "{ended:?}");
    assert!(!ended.core_dumped(), "the supervisor's memory holds every secret");
    // In the same place and with the same limit a program that does not hide its memory dumps it, or this machine never does.
    let place = tempfile::tempdir().expect("a directory");
    let mut control = Command::new("sleep").arg("60").current_dir(place.path()).stdin(Stdio::null()).spawn().unwrap();
    processes::signal(i32::try_from(control.id()).unwrap(), Signal::SIGABRT);
    let control = control.wait().expect("it ends");
    assert!(control.core_dumped() || hard == 0, "this machine dumps no cores, so nothing was proved: {control:?}");
}
