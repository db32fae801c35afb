//! Brings the database's schema up to date.

use std::process::ExitCode;

use etl_shared::migrations;
use miette::{IntoDiagnostic, Report, miette};

use super::{Place, database, output};

/// Applies what is missing and says what that was.
pub(super) async fn migrate(place: &Place) -> Result<ExitCode, Report> {
    let settings = place.settings()?;
    let Some(database) = &settings.database else {
        return Err(miette!("no database is configured: set [database] url in {}", place.path().display()));
    };
    let mut client = database::connect_as_admin(database).await?;
    let report = migrations::apply(&mut client).await.into_diagnostic()?;
    for migration in report.applied_migrations() {
        output::line(&format!("applied {migration}"))?;
    }
    if report.applied_migrations().is_empty() {
        output::line("the schema is up to date")?;
    }
    Ok(ExitCode::SUCCESS)
}
