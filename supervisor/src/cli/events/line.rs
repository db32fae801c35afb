//! An event in a line for people.

use etl_shared::api::FleetEvent;

/// TIME  WORKER  FROM → TO  VERDICT  REASON
pub(super) fn line(event: &FleetEvent) -> String {
    let whose = match (&event.worker, event.tenant_id) {
        (Some(worker), _) => worker.to_string(),
        (None, Some(tenant)) => format!("tenant {tenant}"),
        (None, None) => "all".to_owned(),
    };
    let change = match (event.from, event.to) {
        (Some(from), Some(to)) => format!("{} → {}", from.as_str(), to.as_str()),
        _ => String::new(),
    };
    let verdict = event.verdict.as_ref().map(ToString::to_string).unwrap_or_default();
    let by = event.by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default();
    // Whoever had a word in the reason shall not speak to the terminal.
    let reason: String = event.reason.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    let mut line = format!("{}  {whose:<20}", event.at);
    for part in [change, verdict, format!("{reason}{by}")].iter().filter(|part| !part.is_empty()) {
        line.push_str("  ");
        line.push_str(part);
    }
    line
}

#[cfg(test)]
mod tests {
    use etl_shared::{
        Verdict,
        api::{EventKind, WorkerState},
    };

    use super::*;

    #[test]
    fn a_crash_and_an_order_are_a_line_each() {
        let crash = FleetEvent {
            id: 1,
            at: "2026-01-31T12:00:00.000Z".to_owned(),
            kind: EventKind::State,
            tenant_id: "7".parse().ok(),
            worker: "transform-7-1".parse().ok(),
            incarnation: Some(3),
            from: Some(WorkerState::Running),
            to: Some(WorkerState::Backoff),
            verdict: Some(Verdict::Exit(3)),
            reason: "exit code 3\u{1b}[2J\nx".to_owned(),
            by: None,
            correlation_id: None,
        };
        let expected = "2026-01-31T12:00:00.000Z  transform-7-1         RUNNING → BACKOFF  EXIT(3)  exit code 3 [2J x";
        assert_eq!(line(&crash), expected);
        let order = FleetEvent {
            worker: None,
            from: None,
            to: None,
            verdict: None,
            reason: "ordered to stop".to_owned(),
            by: Some("uid 0".to_owned()),
            ..crash
        };
        assert_eq!(line(&order), "2026-01-31T12:00:00.000Z  tenant 7              ordered to stop (by uid 0)");
    }
}
