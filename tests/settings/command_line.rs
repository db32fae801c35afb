//! `config`, `scale`, `pause` and `resume`.

use system_tests::{fleet, processes};

use super::scene::{paused, platform_with, running};

#[tokio::test]
async fn a_tenant_is_scaled_paused_and_resumed_from_the_command_line() {
    let (_platform, supervisor, before) = platform_with(&[1, 2]).await;
    let old = fleet::pids(&before, &[1, 2]);
    let shown = supervisor.cli(&["config", "1"]).await;
    assert!(shown.stdout.starts_with("transform    1 workers, at most 8, memory 512.0 MiB of 1.0 GiB"), "{shown:?}");
    assert!(shown.stderr.contains("Nothing is set"), "{shown:?}");

    let said = supervisor.cli_ok(&["scale", "1=3", "2=2"]).await;
    assert!(said.contains("tenant 1: workers of transform 1 → 3") && said.contains("tenant 2: workers"), "{said}");
    let status =
        supervisor.until("both have more workers", |status| running(status, 1) == 3 && running(status, 2) == 2).await;
    assert_eq!(fleet::pids(&status, &[1, 2]), old);
    let refused = supervisor.cli(&["scale", "1=65"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("workers_over_limit"), "{refused:?}");
    let refused = supervisor.cli(&["scale", "9=1"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("tenant_unknown"), "{refused:?}");
    assert_eq!(supervisor.cli(&["scale", "1"]).await.code, 2);

    let said = supervisor.cli_ok(&["pause", "1", "--for", "2h"]).await;
    assert!(said.contains("tenant 1 is paused until ") && said.contains("etl-supervisor resume 1"), "{said}");
    supervisor.until("tenant 1 is paused", |status| paused(status, 1) && running(status, 1) == 0).await;
    assert!(!processes::alive(old[0]));
    let shown = supervisor.cli(&["config", "1"]).await;
    assert!(shown.stdout.starts_with("transform    3 workers*, at most 8") && shown.stdout.contains("paused until"));
    assert!(shown.stderr.contains("by uid "), "{shown:?}");
    let refused = supervisor.cli(&["pause", "1", "--until", "2001-01-01"]).await;
    assert_eq!(refused.code, 2, "a day is no moment: {refused:?}");
    let refused = supervisor.cli(&["pause", "1", "--until", "2001-01-01T00:00:00Z"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("in_the_past"), "{refused:?}");

    let said = supervisor.cli_ok(&["resume", "1"]).await;
    assert!(said.contains("is not paused any longer"), "{said}");
    assert!(supervisor.cli_ok(&["resume", "1"]).await.contains("was not paused"));
    supervisor.cli_ok(&["scale", "1=default"]).await;
    let status = supervisor.until("as at first", |status| running(status, 1) == 1).await;
    assert_eq!(fleet::pid(&status, 2), Some(old[1]), "the neighbour has noticed nothing");

    let said = supervisor.cli_ok(&["pause", "1"]).await;
    assert!(said.starts_with("tenant 1 is paused;"), "{said}");
    let reason = |status: &_| fleet::worker(status, 1).map(|worker| worker.reason.clone());
    let words = "paused until somebody resumes it";
    supervisor.until("paused without end", |status| reason(status).as_deref() == Some(words)).await;
}
