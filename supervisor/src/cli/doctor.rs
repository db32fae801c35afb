//! Checks what the supervisor depends on by asking it, and says what to do where something is wrong.

use std::process::ExitCode;

use etl_shared::api::FleetStatus;
use miette::Report;

use super::{
    Place, check,
    finding::{self, Finding},
};
use crate::settings::Settings;

mod accounts;
mod backstop;
mod broker;
mod database;
mod machine;
mod raw_rows;
mod room;
mod walls;
mod wire;

/// Looks at everything that can be reached.
pub(super) async fn doctor(place: &Place) -> Result<ExitCode, Report> {
    let settings = place.settings()?;
    let mut findings = check::local(&settings);
    findings.extend(wire::look(&settings));
    findings.extend(supervisor(place, &settings).await);
    let (more, asked) = database::look(&settings).await;
    findings.extend(more);
    let tenants: Vec<_> = match &settings.tenants {
        Some(set) => set.0.iter().copied().collect(),
        None => asked,
    };
    findings.extend(broker::look(&settings, &tenants).await);
    findings.extend(accounts::look(&settings).await);
    findings.extend(machine::look(&settings, tenants.len()));
    findings.push(room::memory(&settings, tenants.len()));
    finding::show(&findings)
}

/// The running supervisor and its parts, the keeper among them: the keeper itself talks to nobody else.
async fn supervisor(place: &Place, settings: &Settings) -> Vec<Finding> {
    let client = match place.client() {
        Ok(client) => client,
        Err(report) => return vec![Finding::fail("supervisor", finding::in_one_line(&report), "name its --socket")],
    };
    let status: FleetStatus = match client.get("/api/v1/admin/workers/status").await {
        Ok(status) => status,
        Err(error) => {
            let advice = "the keeper and the other parts can be looked at when it runs";
            return vec![Finding::warn("supervisor", error.to_string(), advice)];
        }
    };
    let workers: usize = status.states.values().sum();
    let running = format!("version {}, pid {}, {workers} workers", status.supervisor.version, status.supervisor.pid);
    let mut findings = vec![Finding::ok("supervisor", running)];
    for (name, part) in status.supervisor.parts {
        let subject = format!("supervisor: {name}");
        findings.push(if part.ok {
            Finding::ok(&subject, part.detail)
        } else {
            Finding::fail(&subject, part.detail, "see the supervisor's log")
        });
    }
    findings.extend(status.supervisor.walls.iter().map(|wall| walls::finding(wall, &settings.isolation)));
    findings
}
