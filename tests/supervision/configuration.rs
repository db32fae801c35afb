//! Mistakes in the configuration, found by `etl-supervisor check` before anything runs.

use std::{fs, os::unix::fs::PermissionsExt};

use system_tests::{Setup, Supervisor, supervisor::Printed, supervisor_setup::HERE};

async fn check(setup: &Setup) -> (Supervisor, Printed) {
    let supervisor = Supervisor::prepare(setup);
    let printed = supervisor.cli(&["check"]).await;
    (supervisor, printed)
}

/// The check fails and its output names all of this.
async fn is_refused(setup: &Setup, named: &[&str]) {
    let (_, printed) = check(setup).await;
    assert_ne!(printed.code, 0, "{printed:?}");
    // A long line may be broken anywhere.
    let said: String = format!("{}{}", printed.stdout, printed.stderr);
    let said: Vec<&str> =
        said.split(|c: char| c.is_whitespace() || "│╰─├▶".contains(c)).filter(|w| !w.is_empty()).collect();
    let said = said.join(" ");
    for word in named {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

fn setup() -> Setup {
    Setup::scripted("[1]")
}

#[tokio::test]
async fn a_good_configuration_passes() {
    let (_, printed) = check(&setup()).await;
    assert_eq!(printed.code, 0, "{printed:?}");
}

#[tokio::test]
async fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    is_refused(&setup().set("restart", "max_restart", "3"), &["restart.max_restart", "restart.max_restarts"]).await;
    is_refused(&setup().set("runtimes", "directory", "\"/x\""), &["runtimes", "runtime"]).await;
}

#[tokio::test]
async fn a_bad_duration_is_answered_with_an_example() {
    is_refused(&setup().set("queues.transform", "grace", "\"5 parsecs\""), &["5 parsecs", "30s"]).await;
}

#[tokio::test]
async fn a_file_that_does_not_exist_is_named() {
    let supervisor = Supervisor::prepare(&setup());
    fs::remove_file(supervisor.config()).unwrap();
    for command in ["check", "run"] {
        let printed = supervisor.cli(&[command]).await;
        assert_ne!(printed.code, 0, "{command}: {printed:?}");
        let said = printed.stdout.clone() + &printed.stderr;
        assert!(said.contains("config.toml") && said.contains("No such file"), "{command}: {printed:?}");
    }
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    is_refused(&setup().set("queues.transform", "command", "[\"/nowhere/worker\"]"), &["/nowhere/worker"]).await;
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_named_and_not_shown() {
    let with_file = setup().set("broker", "url", "\"amqp://etl@127.0.0.1:5672/%2f\"").set(
        "broker",
        "password_file",
        &format!("\"{HERE}/secret\""),
    );
    is_refused(&with_file, &["secret"]).await;

    let supervisor = Supervisor::prepare(&with_file);
    let secret = supervisor.directory().join("secret");
    // A directory cannot be read by anybody, root included.
    fs::create_dir(&secret).unwrap();
    assert_ne!(supervisor.cli(&["check"]).await.code, 0);
    fs::remove_dir(&secret).unwrap();
    fs::write(&secret, "correct horse\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let printed = supervisor.cli(&["check"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(!format!("{printed:?}").contains("correct horse"));
}

#[tokio::test]
async fn a_configuration_that_is_not_toml_is_answered_with_the_line() {
    let supervisor = Supervisor::prepare(&setup());
    fs::write(supervisor.config(), "tenants = [1]\n[restart\nmax_restarts = 3\n").unwrap();
    let printed = supervisor.cli(&["check"]).await;
    assert_ne!(printed.code, 0);
    let said = printed.stdout.clone() + &printed.stderr;
    assert!(said.contains("TOML") && said.contains("line 2"), "{printed:?}");
}

#[tokio::test]
async fn the_supervisor_does_not_start_with_a_wrong_configuration() {
    let supervisor = Supervisor::prepare(&setup().set("queues.transform", "workers", "0"));
    let printed = supervisor.cli(&["run"]).await;
    assert_ne!(printed.code, 0);
    assert!(printed.stderr.contains("queues.transform.workers"), "{printed:?}");
    assert!(!supervisor.run_directory().join("api.sock").exists());
}
