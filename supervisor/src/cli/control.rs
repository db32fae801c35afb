//! Start, stop and restart, and waiting until it has come about.

use std::{collections::BTreeMap, process::ExitCode, str::FromStr, time::Duration};

use etl_shared::{
    TenantId, WorkerName,
    api::{
        Action, ActionAccepted, ActionRequest, FleetStatus, TenantActionRequest, TenantStatus, WorkerState,
        WorkerStatus,
    },
};
use miette::{IntoDiagnostic, Report, miette};
use tokio::time::{self, Instant};

use super::{Client, ClientError, Place, output};

/// How often the status is read while waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// `start`, `stop`, `restart`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A tenant's number, or `all`
    #[arg(value_name = "TENANT|all")]
    whom: Whom,
    /// Return only when it is done, and fail when it does not come about
    #[arg(long)]
    wait: bool,
    /// How long to wait at most
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration, requires = "wait")]
    timeout: Duration,
}

/// Whose workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// Everybody's.
    All,
    /// This tenant's.
    Tenant(TenantId),
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::Tenant).map_err(|_| "expected a tenant's number such as 7, or all".to_owned())
    }
}

/// Sends the order; waits if asked to.
pub(super) async fn control(place: &Place, action: Action, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    let whom = arguments.whom;
    let before = if arguments.wait { workers(&client, whom).await.into_diagnostic()? } else { Vec::new() };
    let accepted = order(&client, whom, action).await.into_diagnostic()?;
    let word = word(action);
    let count = accepted.workers;
    let plural = if count == 1 { "worker" } else { "workers" };
    if !arguments.wait {
        let pattern = if let Whom::Tenant(tenant) = whom { format!(" {tenant}") } else { String::new() };
        output::line(&format!("{word} accepted for {count} {plural}; see `etl-supervisor status{pattern}`"))?;
        if action == Action::Start && matches!(whom, Whom::Tenant(_)) {
            say_who_waits(&client, whom).await;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = Instant::now() + arguments.timeout;
    let goal = Goal::new(action, &before);
    loop {
        let now = workers(&client, whom).await.into_diagnostic()?;
        match goal.progress(&now) {
            Progress::Done => break,
            Progress::Failed(why) => return Err(miette!("{word} failed: {why}; `etl-supervisor logs` shows more")),
            Progress::Waiting(on) if Instant::now() >= deadline => {
                let waited = humantime::format_duration(arguments.timeout);
                return Err(miette!("{word} was accepted but is not done after {waited}: {on}"));
            }
            Progress::Waiting(_) => time::sleep(LOOK_AGAIN).await,
        }
    }
    output::line(&format!("{word} done for {count} {plural}"))?;
    Ok(ExitCode::SUCCESS)
}

/// An accepted start may have to wait for something that only a person can change.
async fn say_who_waits(client: &Client, whom: Whom) {
    // Accepted is not yet done: the view follows in a moment.
    time::sleep(LOOK_AGAIN).await;
    for worker in workers(client, whom).await.unwrap_or_default() {
        if worker.state == WorkerState::Waiting {
            output::remark(&format!("{} waits: {}", worker.name, worker.reason));
        }
    }
}

async fn order(client: &Client, whom: Whom, action: Action) -> Result<ActionAccepted, ClientError> {
    match whom {
        Whom::All => client.post("/api/v1/admin/workers/control", &ActionRequest { action }).await,
        Whom::Tenant(tenant_id) => {
            let request = TenantActionRequest { action, tenant_id };
            client.post("/api/v1/admin/workers/tenant/control", &request).await
        }
    }
}

async fn workers(client: &Client, whom: Whom) -> Result<Vec<WorkerStatus>, ClientError> {
    match whom {
        Whom::All => {
            let fleet: FleetStatus = client.get("/api/v1/admin/workers/status").await?;
            Ok(fleet.tenants.into_values().flat_map(|tenant| tenant.workers).collect())
        }
        Whom::Tenant(tenant) => {
            let status: TenantStatus = client.get(&format!("/api/v1/admin/workers/tenant/{tenant}/status")).await?;
            Ok(status.workers)
        }
    }
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Restart => "restart",
    }
}

/// What must be true for an order to be done.
#[derive(Debug)]
struct Goal {
    action: Action,
    /// The processes that a restart replaces.
    old: BTreeMap<WorkerName, u64>,
    /// Given up before the order came, each with the process that failed last: the order has to take them out of it first.
    fatal: BTreeMap<WorkerName, u64>,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Done,
    Waiting(String),
    Failed(String),
}

impl Goal {
    fn new(action: Action, before: &[WorkerStatus]) -> Self {
        let old = before.iter().filter(|worker| worker.pid.is_some());
        let fatal = before.iter().filter(|worker| worker.state == WorkerState::Fatal);
        Self {
            action,
            old: old.map(|worker| (worker.name.clone(), worker.incarnation)).collect(),
            fatal: fatal.map(|worker| (worker.name.clone(), worker.incarnation)).collect(),
        }
    }

    fn progress(&self, now: &[WorkerStatus]) -> Progress {
        let mut waiting = Progress::Done;
        for worker in now {
            let (name, reason) = (&worker.name, &worker.reason);
            if self.reached(worker) {
                continue;
            }
            // The same failure as before the order is not the answer to it; a newer one is.
            let given_up = worker.state == WorkerState::Fatal && self.fatal.get(name) != Some(&worker.incarnation);
            if given_up && self.action != Action::Stop {
                return Progress::Failed(format!("{name} is FATAL: {reason}"));
            }
            waiting = Progress::Waiting(format!("{name} is {}: {reason}", worker.state.as_str()));
        }
        waiting
    }

    fn reached(&self, worker: &WorkerStatus) -> bool {
        // Idle means that there is no work, and everything is ready for it.
        let up = matches!(worker.state, WorkerState::Running | WorkerState::Idle);
        match self.action {
            Action::Start => up,
            Action::Stop => worker.state == WorkerState::Stopped,
            // A worker that had no process has nothing to replace.
            Action::Restart => self.old.get(&worker.name).is_none_or(|old| up && worker.incarnation > *old),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::tests::fleet::status_of;

    fn worker(state: WorkerState, incarnation: u64) -> WorkerStatus {
        WorkerStatus { incarnation, reason: "why".to_owned(), ..status_of("transform-7-1", state) }
    }

    #[test]
    fn a_start_is_done_when_every_worker_runs() {
        let goal = Goal::new(Action::Start, &[worker(WorkerState::Stopped, 1)]);
        assert_eq!(goal.progress(&[worker(WorkerState::Running, 2)]), Progress::Done);
        assert!(matches!(goal.progress(&[worker(WorkerState::Starting, 2)]), Progress::Waiting(_)));
        assert!(
            matches!(goal.progress(&[worker(WorkerState::Fatal, 2)]), Progress::Failed(why) if why.contains("why"))
        );
    }

    #[test]
    fn a_restart_is_done_only_with_a_new_process() {
        let goal = Goal::new(Action::Restart, &[worker(WorkerState::Running, 3)]);
        assert!(matches!(goal.progress(&[worker(WorkerState::Running, 3)]), Progress::Waiting(_)));
        assert_eq!(goal.progress(&[worker(WorkerState::Running, 4)]), Progress::Done);
        let stopped = Goal::new(Action::Restart, &[worker(WorkerState::Stopped, 3)]);
        assert_eq!(stopped.progress(&[worker(WorkerState::Stopped, 3)]), Progress::Done);
    }

    #[test]
    fn a_worker_that_was_fatal_before_is_given_the_time_to_start() {
        let goal = Goal::new(Action::Start, &[worker(WorkerState::Fatal, 3)]);
        assert!(matches!(goal.progress(&[worker(WorkerState::Fatal, 3)]), Progress::Waiting(_)));
        assert!(matches!(goal.progress(&[worker(WorkerState::Fatal, 5)]), Progress::Failed(_)), "given up again");
    }

    #[test]
    fn only_a_number_or_all_names_whose_workers() {
        assert_eq!("all".parse(), Ok(Whom::All));
        assert!(matches!("7".parse(), Ok(Whom::Tenant(_))));
        for wrong in ["", "ALL", "0", "transform-7-1", "-1"] {
            assert!(wrong.parse::<Whom>().is_err(), "{wrong:?}");
        }
    }
}
