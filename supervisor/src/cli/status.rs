//! The workers, one line each, and an exit code that service scripts understand.

use std::{fmt, process::ExitCode, str::FromStr};

use clap::ValueEnum;
use etl_shared::{
    TenantId,
    api::{FleetStatus, TenantStatus, WorkerState, WorkerStatus},
};
use miette::{IntoDiagnostic, Report};

use super::{Client, ClientError, Place, output};

mod show;

/// Every matching worker runs.
const RUNNING: u8 = 0;
/// A matching worker does not run.
const NOT_RUNNING: u8 = 3;
/// It cannot be said: no supervisor answers, or no worker matches.
const UNKNOWN: u8 = 4;

/// `status`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A tenant's number, a worker's name, or names with * and ?, such as 'transform-*-1'
    pattern: Option<Pattern>,
    /// How to show them
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// NAME  STATE  pid 4121, uptime 2:11:09
    Text,
    /// A table with memory, processor time, restarts and the last exit
    Wide,
    /// The API's own words, limited to the workers that match
    Json,
}

/// Which workers to show.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Tenant(TenantId),
    Name(String),
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Tenant))
    }
}

impl Pattern {
    fn matches(&self, worker: &WorkerStatus) -> bool {
        match self {
            Self::Tenant(tenant) => worker.name.tenant == *tenant,
            Self::Name(pattern) => matches(pattern.as_bytes(), worker.name.to_string().as_bytes()),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "tenant {tenant}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// `*` stands for any text, `?` for one character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        ([b'?', pattern @ ..], [_, text @ ..]) => matches(pattern, text),
        ([expected, pattern @ ..], [found, text @ ..]) => expected == found && matches(pattern, text),
        ([], []) => true,
        _ => false,
    }
}

/// Shows the workers. Whatever keeps them from being seen is [`UNKNOWN`].
pub(super) async fn status(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let seen = match place.client() {
        Ok(client) => see(&client, arguments.pattern.as_ref()).await.into_diagnostic(),
        Err(report) => Err(report),
    };
    let fleet = match seen {
        Ok(fleet) => fleet,
        Err(report) => {
            output::failure(&report);
            return Ok(UNKNOWN.into());
        }
    };
    let workers: Vec<_> = fleet.tenants.values().flat_map(|tenant| &tenant.workers).collect();
    match arguments.output {
        Form::Text => output::bytes(show::lines(&workers, output::in_colour()).as_bytes())?,
        Form::Wide => {
            output::bytes(show::table(&workers, output::in_colour()).as_bytes())?;
            if arguments.pattern.is_none() {
                output::bytes(show::walls(&fleet.supervisor.walls, output::in_colour()).as_bytes())?;
            }
        }
        Form::Json => output::line(&serde_json::to_string_pretty(&fleet).into_diagnostic()?)?,
    }
    if arguments.output == Form::Wide
        && arguments.pattern.is_none()
        && let Some(budget) = &fleet.supervisor.budget
    {
        output::line(&show::budget(budget))?;
    }
    if workers.is_empty() {
        output::remark(&match &arguments.pattern {
            Some(pattern) => format!("No worker matches {pattern}."),
            None => "The supervisor is up and has no workers: `etl-supervisor tenants` shows which tenants it knows."
                .to_owned(),
        });
    }
    Ok(exit_code(&workers, arguments.pattern.is_some()).into())
}

/// The fleet, limited to what matches. For one tenant the workers' own counts are read too.
async fn see(client: &Client, pattern: Option<&Pattern>) -> Result<FleetStatus, ClientError> {
    let mut fleet: FleetStatus = client.get("/api/v1/admin/workers/status").await?;
    let Some(pattern) = pattern else { return Ok(fleet) };
    if let Pattern::Tenant(tenant) = pattern
        && let Some(status) = fleet.tenants.get_mut(tenant)
    {
        let detailed: TenantStatus = client.get(&format!("/api/v1/admin/workers/tenant/{tenant}/status")).await?;
        *status = detailed;
    }
    Ok(limited(fleet, pattern))
}

fn limited(mut fleet: FleetStatus, pattern: &Pattern) -> FleetStatus {
    fleet.states.clear();
    fleet.tenants.retain(|_, tenant| {
        tenant.workers.retain(|worker| pattern.matches(worker));
        tenant.running = tenant.workers.iter().any(|worker| worker.state == WorkerState::Running);
        for worker in &tenant.workers {
            *fleet.states.entry(worker.state).or_default() += 1;
        }
        !tenant.workers.is_empty()
    });
    fleet.running = fleet.states.contains_key(&WorkerState::Running);
    fleet
}

/// A worker that is idle on purpose is as good as running.
fn exit_code(workers: &[&WorkerStatus], asked_for_some: bool) -> u8 {
    let up = |worker: &&WorkerStatus| matches!(worker.state, WorkerState::Running | WorkerState::Idle);
    match workers {
        [] if asked_for_some => UNKNOWN,
        [] => NOT_RUNNING,
        workers if workers.iter().all(up) => RUNNING,
        _ => NOT_RUNNING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::status_of;

    #[test]
    fn the_exit_code_is_that_of_a_service_script() {
        let running = status_of("transform-1-1", WorkerState::Running);
        let idle = status_of("transform-2-1", WorkerState::Idle);
        assert_eq!(exit_code(&[&running, &idle], false), 0);
        for state in WorkerState::ALL {
            if !matches!(state, WorkerState::Running | WorkerState::Idle) {
                assert_eq!(exit_code(&[&running, &status_of("transform-3-1", state)], false), 3, "{state:?}");
            }
        }
        assert_eq!(exit_code(&[], false), 3);
        assert_eq!(exit_code(&[], true), 4);
    }

    #[test]
    fn a_number_means_a_tenant_and_everything_else_a_name() {
        let worker = status_of("transform-7-1", WorkerState::Running);
        for (pattern, expected) in [
            ("7", true),
            ("1", false),
            ("transform-7-1", true),
            ("transform-*-1", true),
            ("*-7-*", true),
            ("*", true),
            ("transform-?-1", true),
            ("transform-7-", false),
            ("sync-*", false),
            ("", false),
        ] {
            assert_eq!(pattern.parse::<Pattern>().unwrap().matches(&worker), expected, "{pattern:?}");
        }
    }
}
