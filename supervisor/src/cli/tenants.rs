//! The tenants as the supervisor knows them.

use std::process::ExitCode;

use clap::Subcommand;
use etl_shared::{TenantId, api::TenantList};
use miette::{IntoDiagnostic, Report};

use super::{Place, output};

/// `tenants`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show them (the default)
    List,
    /// Accept the list that was refused: workers of tenants that are missing from it are stopped
    Confirm,
}

/// Shows or confirms.
pub(super) async fn tenants(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    let list: TenantList = match arguments.what {
        Some(What::Confirm) => client.post("/api/v1/admin/tenants/confirm", &()).await,
        None | Some(What::List) => client.get("/api/v1/admin/tenants").await,
    }
    .into_diagnostic()?;
    for tenant in &list.tenants {
        output::line(&tenant.to_string())?;
    }
    output::remark(&format!("{} tenants from: {}", list.tenants.len(), list.source));
    if let Some(refused) = &list.refused {
        output::remark(&format!(
            "Refused, because more than half of the tenants are missing from it: a list of {}{}.\n\
             If that is right, accept it with `etl-supervisor tenants confirm`.",
            refused.len(),
            some(refused),
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn some(tenants: &[TenantId]) -> String {
    let named: Vec<_> = tenants.iter().take(10).map(ToString::to_string).collect();
    let more = if tenants.len() > named.len() { ", …" } else { "" };
    if named.is_empty() { String::new() } else { format!(" ({}{more})", named.join(", ")) }
}
