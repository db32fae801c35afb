//! The two commands that stay: the supervisor itself and the parent of its workers.

use std::{path::Path, process::ExitCode};

use etl_shared::telemetry::{self, LogFormat};
use miette::{IntoDiagnostic, Report, WrapErr};

use super::Place;
use crate::runtime::brain::RunOptions;

/// `run`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Leave the workers running when the supervisor stops; without it Ctrl-C stops everything
    #[arg(long)]
    detach: bool,
    /// Never start a keeper: wait for the one that somebody else runs, such as another systemd unit
    #[arg(long)]
    external_keeper: bool,
}

/// The supervisor, until it is told to stop.
pub(super) fn run(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let settings = place.settings()?;
    telemetry::start(LogFormat::Auto);
    let options = RunOptions { detach: arguments.detach, external_keeper: arguments.external_keeper };
    // The only call of the brain.
    let ended = crate::runtime::brain::run(&place.path(), settings, options);
    ended.into_diagnostic().wrap_err("the supervisor has ended")?;
    Ok(ExitCode::SUCCESS)
}

/// The keeper, until it is told to end. It forks, so this must be the only thread, and stay the one that forks.
pub(super) fn keeper(config: &Path) -> Result<ExitCode, Report> {
    telemetry::start(LogFormat::Auto);
    // The only call of the keeper.
    crate::keeper::run(config).into_diagnostic().wrap_err("the keeper has ended")?;
    Ok(ExitCode::SUCCESS)
}
