//! New secrets for a tenant, or for everybody, and waiting until they are in force.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use etl_shared::{
    TenantId,
    api::{CredentialsStatus, RotateRequest, RotationAccepted, TenantCredentials},
};
use miette::{IntoDiagnostic, Report, miette};
use tokio::time::{self, Instant};

use super::{Client, ClientError, Place, control::Whom, output, progress::Progress};

/// How often the status is read while waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const PATH: &str = "/api/v1/admin/credentials";

/// `rotate`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A tenant's number, or `all`
    #[arg(value_name = "TENANT|all")]
    whom: Whom,
    /// Return as soon as the order is accepted
    #[arg(long)]
    no_wait: bool,
    /// How long to wait at most, for each tenant
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// Orders it, and waits unless told otherwise.
pub(super) async fn rotate(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    let before: CredentialsStatus = client.get(PATH).await.into_diagnostic()?;
    let request = match arguments.whom {
        Whom::All => RotateRequest { tenant_id: None, all: true },
        Whom::Tenant(tenant) => RotateRequest { tenant_id: Some(tenant), all: false },
    };
    let accepted: RotationAccepted = client.post(&format!("{PATH}/rotate"), &request).await.into_diagnostic()?;
    let count = accepted.tenants.len();
    let plural = if count == 1 { "tenant" } else { "tenants" };
    if arguments.no_wait {
        output::line(&format!("rotation accepted for {count} {plural}; see its log"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let failed = wait(&client, &before.tenants, accepted, arguments.timeout).await?;
    output::remark(&match failed {
        0 => format!("{count} {plural} rotated"),
        failed => format!("{} of {count} {plural} rotated, {failed} not", count - failed),
    });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line for each tenant as it is done; returns how many are not.
async fn wait(
    client: &Client,
    before: &BTreeMap<TenantId, TenantCredentials>,
    accepted: RotationAccepted,
    patience: Duration,
) -> Result<usize, Report> {
    let mut progress = Progress::new("tenants rotated", Some(accepted.tenants.len() as u64));
    let (mut waiting, mut failed) = (accepted.tenants, 0);
    let mut deadline = Instant::now() + patience;
    while !waiting.is_empty() {
        let now: CredentialsStatus = match client.get(PATH).await {
            Ok(now) => now,
            // It may be started again just now: the rotation goes on then.
            Err(ClientError::Unreachable { .. } | ClientError::Broken(_)) if Instant::now() < deadline => {
                time::sleep(LOOK_AGAIN).await;
                continue;
            }
            Err(error) => return Err(error).into_diagnostic(),
        };
        let mut left = Vec::new();
        for tenant in waiting {
            let generation = before.get(&tenant).and_then(|before| before.generation);
            let Some(outcome) = outcome(now.tenants.get(&tenant), generation, accepted.rotation) else {
                left.push(tenant);
                continue;
            };
            match outcome {
                Ok(generation) => output::line(&format!("{tenant}  rotated, generation {generation}"))?,
                Err(why) => {
                    failed += 1;
                    output::line(&format!("{tenant}  NOT rotated, the old secrets stay in force: {why}"))?;
                }
            }
            progress.add(1);
            deadline = Instant::now() + patience;
        }
        waiting = left;
        if waiting.is_empty() {
            break;
        }
        if Instant::now() >= deadline {
            let waited = humantime::format_duration(patience);
            return Err(miette!("{} tenants are not done, and none was for {waited}: see {PATH}", waiting.len()));
        }
        time::sleep(LOOK_AGAIN).await;
    }
    Ok(failed)
}

/// What became of it, once it is over. A supervisor that was started again meanwhile counts its rotations anew, but the
/// generation tells.
fn outcome(now: Option<&TenantCredentials>, before: Option<u32>, rotation: u64) -> Option<Result<u32, String>> {
    let now = now?;
    let generation = now.generation?;
    match &now.last_rotation {
        Some(last) if last.rotation >= rotation && !last.ok => Some(Err(last.detail.clone().unwrap_or_default())),
        Some(last) if last.rotation >= rotation => Some(Ok(generation)),
        _ if now.state == "ready" && before.is_some_and(|before| generation > before) => Some(Ok(generation)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use etl_shared::api::LastRotation;

    use super::*;

    fn account(generation: u32, state: &str, last: Option<(u64, bool)>) -> TenantCredentials {
        let last_rotation = last.map(|(rotation, ok)| LastRotation {
            rotation,
            ok,
            at: String::new(),
            detail: (!ok).then(|| "why".to_owned()),
        });
        TenantCredentials { generation: Some(generation), state: state.to_owned(), detail: None, last_rotation }
    }

    #[test]
    fn only_the_outcome_of_this_rotation_counts_or_a_new_generation_after_a_restart() {
        let of = |account: &TenantCredentials| outcome(Some(account), Some(1), 5);
        assert_eq!(of(&account(1, "ready", Some((4, false)))), None);
        assert_eq!(of(&account(1, "moving", None)), None);
        assert_eq!(of(&account(2, "ready", Some((5, true)))), Some(Ok(2)));
        assert_eq!(of(&account(1, "ready", Some((5, false)))), Some(Err("why".to_owned())));
        assert_eq!(of(&account(2, "ready", None)), Some(Ok(2)));
        assert_eq!(outcome(None, Some(1), 5), None);
    }
}
