//! What a tenant's workers have written.

use std::process::ExitCode;

use etl_shared::TenantId;
use miette::{IntoDiagnostic, Report};

use super::{Place, output};

/// `logs`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Whose
    #[arg(value_name = "TENANT")]
    tenant: TenantId,
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many lines of each worker
    #[arg(short = 'n', long, value_name = "LINES", default_value_t = 100)]
    lines: u32,
}

/// Copies the lines to standard output as they come.
pub(super) async fn logs(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let Arguments { tenant, follow, lines } = arguments;
    let path = format!("/api/v1/admin/workers/logs?tenant_id={tenant}&lines={lines}&follow={follow}");
    let mut pieces = place.client()?.stream(&path).await.into_diagnostic()?;
    while let Some(piece) = pieces.next().await.into_diagnostic()? {
        output::bytes(&piece)?;
    }
    Ok(ExitCode::SUCCESS)
}
