//! `etl-supervisor publish --from`: one message a line.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use nix::sys::signal::Signal;
use serde_json::json;
use system_tests::{
    Platform, Setup, Supervisor, binaries,
    broker::Depth,
    platform::{message, queue_of},
    processes,
    stack::blocking,
    supervisor::Printed,
};

/// Publishes a text from a pipe. No supervisor needs to run: only its configuration is read.
async fn piped(platform: &Platform, text: &str, arguments: &[&str]) -> Printed {
    let supervisor = Supervisor::prepare(&Setup::on(platform));
    let mut command = Command::new(binaries::supervisor());
    command.args(["publish", "--from", "-"]).args(arguments).arg("--config").arg(supervisor.config());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let text = text.to_owned();
    let output = blocking(move || {
        let mut child = command.spawn().expect("the command can be started");
        // It may have seen enough before the end.
        let _ = child.stdin.take().expect("a pipe").write_all(text.as_bytes());
        child.wait_with_output().expect("the command ends")
    })
    .await;
    Printed {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn ready(platform: &Platform, tenant: i64) -> u32 {
    platform.broker.depth(&queue_of(tenant)).await.map_or(0, |depth| depth.ready)
}

fn lines(tenant: i64, count: i64) -> String {
    (1..=count).fold(String::new(), |mut text, row| {
        let _ = writeln!(text, "{}", message(tenant, row));
        text
    })
}

#[tokio::test]
async fn every_line_goes_to_the_queue_of_its_tenant() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let text = format!("{}\n{}", lines(1, 700), lines(2, 300));
    let printed = piped(&platform, &text, &[]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    assert_eq!(
        printed.stdout,
        "published 1000 messages, confirmed by the broker; everything up to line 1001 is confirmed\n"
    );
    assert!(!printed.stderr.contains('\r') && !printed.stderr.contains('\x1b'), "no bar in a pipe: {printed:?}");
    assert_eq!((ready(&platform, 1).await, ready(&platform, 2).await), (700, 300));
    let first = platform.broker.take(&queue_of(2)).await.expect("a message");
    assert_eq!(first, message(2, 1).to_string().into_bytes(), "the line as it stands");
}

#[tokio::test]
async fn nothing_behind_a_bad_line_is_published_and_the_line_is_named() {
    let platform = Platform::with_tenants(&[1]).await;
    let bad = json!({"tenant_id": 1, "integration_id": 10, "raw_data_id": "5", "type": "x"});
    let text = format!("{}{bad}\n{}", lines(1, 3), lines(1, 3));
    let printed = piped(&platform, &text, &[]).await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.stdout.contains("published 3 messages") && printed.stdout.contains("up to line 3 "), "{printed:?}");
    assert!(printed.stderr.contains("line 4: raw_data_id must be a positive whole number"), "{printed:?}");
    assert_eq!(ready(&platform, 1).await, 3);

    let checked = piped(&platform, &text, &["--check"]).await;
    assert!(checked.code == 1 && checked.stdout.contains("6 lines are messages, 1 are not"), "{checked:?}");
    assert_eq!(ready(&platform, 1).await, 3, "a check publishes nothing");

    let skipped = piped(&platform, &text, &["--skip-bad"]).await;
    assert!(skipped.code == 1 && skipped.stdout.contains("published 6 messages"), "{skipped:?}");
    assert!(skipped.stdout.contains("1 lines left out") && skipped.stderr.contains("line 4"), "{skipped:?}");
    assert_eq!(ready(&platform, 1).await, 9);
}

#[tokio::test]
async fn a_tenant_without_a_queue_stops_it_at_the_right_line() {
    let platform = Platform::with_tenants(&[1]).await;
    let text = format!("{}{}\n{}", lines(1, 50), message(404, 1), lines(1, 600));
    let printed = piped(&platform, &text, &[]).await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.stdout.contains("up to line 50 is confirmed"), "{printed:?}");
    assert!(printed.stderr.contains("line 51: the broker has no queue transform_queue_tenant_404"), "{printed:?}");
    let ready = ready(&platform, 1).await;
    // A pack holds 256 messages and begins wherever the pipe last fell silent: up to 50 lines may have gone before it, and 255 others
    // go with the bad one.
    assert!((50..=50 + 255).contains(&ready), "what was under way with it, and no more: {ready}");
}

#[tokio::test]
async fn interrupted_while_its_pipe_is_silent_it_says_how_far_it_has_come() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::prepare(&Setup::on(&platform));
    let mut command = Command::new(binaries::supervisor());
    command.args(["publish", "--from", "-", "--config"]).arg(supervisor.config());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(lines(1, 3).as_bytes()).unwrap();
    // What was given is not kept back until there is more.
    platform.broker.has(&queue_of(1), Depth { ready: 3, consumers: 0 }).await;
    processes::signal(i32::try_from(child.id()).unwrap(), Signal::SIGINT);
    let output = blocking(move || child.wait_with_output()).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}{stderr}");
    assert!(stdout.contains("published 3 messages") && stdout.contains("up to line 3 is confirmed"), "{stdout}");
    assert!(stderr.contains("interrupted"), "{stderr}");
}

#[tokio::test]
async fn a_file_is_read_as_well_as_a_pipe() {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::prepare(&Setup::on(&platform));
    let file = supervisor.directory().join("messages.jsonl");
    fs::write(&file, lines(1, 2)).unwrap();
    let printed = supervisor.cli_ok(&["publish", "--from", &file.display().to_string()]).await;
    assert!(printed.starts_with("published 2 messages"), "{printed}");
    let both = supervisor.cli(&["publish", "--from", "-", "--tenant", "1"]).await;
    assert_eq!(both.code, 2, "{both:?}");
    assert_eq!(ready(&platform, 1).await, 2);
}
