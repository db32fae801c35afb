//! Another number of workers.

use std::{process::ExitCode, str::FromStr};

use etl_shared::{QueueType, TenantId};
use miette::{Report, WrapErr};

use super::{change, one_kind};
use crate::cli::{Place, output};

/// `scale`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Scale {
    /// How many workers which tenant is to have; `default`: as many as the configuration says
    #[arg(value_name = "TENANT=NUMBER|default", required = true)]
    wanted: Vec<Wanted>,
    /// Of this kind [default: transform, or the only one there is]
    #[arg(long, value_name = "TYPE")]
    queue_type: Option<QueueType>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    tenant: TenantId,
    workers: Option<u16>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write a tenant's number and how many workers it is to have, such as 7=3".to_owned();
        let (tenant, workers) = text.split_once('=').ok_or_else(wrong)?;
        let workers = match workers {
            "default" => None,
            number => Some(number.parse().map_err(|_| wrong())?),
        };
        Ok(Self { tenant: tenant.parse().map_err(|_| wrong())?, workers })
    }
}

/// Sets how many; the first that is refused ends it.
pub(in crate::cli) async fn scale(place: &Place, arguments: &Scale) -> Result<ExitCode, Report> {
    let client = place.client()?;
    for Wanted { tenant, workers } in &arguments.wanted {
        let kinds = |document: &_| one_kind(document, arguments.queue_type.as_ref());
        let changed = change(&client, *tenant, kinds, |settings| settings.workers = *workers).await;
        let before = changed.wrap_err_with(|| format!("tenant {tenant} keeps the workers that it has"))?;
        for kind in one_kind(&before, arguments.queue_type.as_ref())? {
            let had = before.effective.get(&kind).map(|holds| holds.workers).unwrap_or_default();
            let now = workers.map_or_else(|| "as configured".to_owned(), |workers| workers.to_string());
            output::line(&format!(
                "tenant {tenant}: workers of {kind} {had} → {now}; see `etl-supervisor status {tenant}`"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_and_a_number_are_told_apart_from_everything_else() {
        let wanted = |workers| Wanted { tenant: 7.try_into().unwrap(), workers };
        assert_eq!("7=3".parse(), Ok(wanted(Some(3))));
        assert_eq!("7=0".parse(), Ok(wanted(Some(0))));
        assert_eq!("7=default".parse(), Ok(wanted(None)));
        for wrong in ["7", "7=", "=3", "x=3", "7=-1", "7=x", "0=3", "7=3=4", "7=99999"] {
            assert!(wrong.parse::<Wanted>().is_err_and(|said| said.contains("7=3")), "{wrong}");
        }
    }
}
