//! The command line: what there is, and where each command is carried out.

use std::{future::Future, io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use etl_shared::{api::Action, settings::SettingsError};
use miette::{IntoDiagnostic, Report, WrapErr};

use crate::settings::{DEFAULT_PATH, Runtime, Settings};

mod check;
mod client;
mod control;
mod database;
mod dead_letters;
mod doctor;
mod events;
mod finding;
mod logs;
mod migrate;
mod output;
mod progress;
mod publish;
mod rotate;
mod run;
mod settings;
mod status;
mod tenants;
mod token;

pub use client::{Client, ClientError};

const EXIT_CODES: &str = "\
Exit codes: 0 fine, 1 the command failed, 2 the command line is wrong.
`status` answers like a service script: 0 every matching worker runs, 3 one does not, 4 unknown: no supervisor answers or no
worker matches.";

/// Keeps one isolated worker process per tenant alive.
#[derive(Debug, Parser)]
#[command(name = "etl-supervisor", version, after_help = EXIT_CODES, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

/// Which supervisor is meant.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration file [default: /etc/etl-supervisor/config.toml]
    #[arg(long, global = true, value_name = "FILE", env = "ETL_SUPERVISOR_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    /// The running supervisor's socket, instead of the one that the configuration names
    #[arg(long, global = true, value_name = "FILE")]
    socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the supervisor in the foreground
    Run(run::Arguments),
    /// Run only the process that is the parent of the workers; `run` starts one where none answers
    Keeper,
    /// Check configuration, files and programs, without the network
    Check,
    /// Check what can be reached: supervisor, broker and its queues, database and its schema, limits of this machine
    Doctor,
    /// Bring the database's schema up to date
    Migrate,
    /// Show the workers, one line each
    Status(status::Arguments),
    /// Have workers running
    Start(control::Arguments),
    /// Have no workers running, until they are started again
    Stop(control::Arguments),
    /// Replace the running workers by new ones
    Restart(control::Arguments),
    /// Show what is set for a tenant, and what holds for its workers
    Config(settings::Config),
    /// Have another number of workers for tenants, until somebody sets another one
    Scale(settings::Scale),
    /// Have no workers running for a tenant for some time; its messages wait
    Pause(settings::Pause),
    /// End a tenant's pause
    Resume(settings::Resume),
    /// Give tenants' workers new secrets: new accounts, workers moved over without a gap, old accounts deleted
    Rotate(rotate::Arguments),
    /// Show what a tenant's workers have written
    Logs(logs::Arguments),
    /// Show what has happened, and with -f what happens: workers that change, orders, tenants, parts
    Events(events::Arguments),
    /// Show messages that were given up, publish them again, or be done with them
    DeadLetters(dead_letters::Arguments),
    /// Publish messages to a tenant's queue
    Publish(publish::Arguments),
    /// Show the tenants, or confirm a list that was refused because too many were missing from it
    Tenants(tenants::Arguments),
    /// Create, list and revoke the API's tokens
    Token(token::Arguments),
    /// Show the version
    Version,
}

/// Carries out what the command line says.
pub fn main(cli: Cli) -> ExitCode {
    let Cli { command, place } = cli;
    let outcome = match command {
        // Forks, so nothing may have started a thread before.
        Command::Keeper => run::keeper(&place.path()),
        Command::Run(arguments) => run::run(&place, &arguments),
        Command::Check => check::check(&place),
        Command::Doctor => waiting(doctor::doctor(&place)),
        Command::Migrate => waiting(migrate::migrate(&place)),
        Command::Status(arguments) => waiting(status::status(&place, &arguments)),
        Command::Start(arguments) => waiting(control::control(&place, Action::Start, &arguments)),
        Command::Stop(arguments) => waiting(control::control(&place, Action::Stop, &arguments)),
        Command::Restart(arguments) => waiting(control::control(&place, Action::Restart, &arguments)),
        Command::Config(arguments) => waiting(settings::config(&place, &arguments)),
        Command::Scale(arguments) => waiting(settings::scale(&place, &arguments)),
        Command::Pause(arguments) => waiting(settings::pause(&place, &arguments)),
        Command::Resume(arguments) => waiting(settings::resume(&place, &arguments)),
        Command::Rotate(arguments) => waiting(rotate::rotate(&place, &arguments)),
        Command::Logs(arguments) => waiting(logs::logs(&place, &arguments)),
        Command::Events(arguments) => waiting(events::events(&place, &arguments)),
        Command::DeadLetters(arguments) => waiting(dead_letters::dead_letters(&place, &arguments)),
        Command::Publish(arguments) => waiting(publish::publish(&place, &arguments)),
        Command::Tenants(arguments) => waiting(tenants::tenants(&place, &arguments)),
        Command::Token(arguments) => waiting(token::token(&place, &arguments)),
        Command::Version => {
            output::line(&format!("etl-supervisor {}", env!("CARGO_PKG_VERSION"))).map(|()| ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|report| {
        output::failure(&report);
        ExitCode::FAILURE
    })
}

/// Runs a command that waits for others.
fn waiting(command: impl Future<Output = Result<ExitCode, Report>>) -> Result<ExitCode, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()?;
    runtime.block_on(command)
}

impl Place {
    /// Absolute, because whoever is handed it may have another working directory.
    fn path(&self) -> PathBuf {
        let path = self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into());
        std::path::absolute(&path).unwrap_or(path)
    }

    fn settings(&self) -> Result<Settings, Report> {
        let path = self.path();
        let advice = "the configuration cannot be used: name the right file with --config, or correct it";
        Settings::load(&path).into_diagnostic().wrap_err(advice)
    }

    /// The running supervisor. Those who may use the socket need not be allowed to read the configuration.
    fn client(&self) -> Result<Client, Report> {
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket.clone()));
        }
        match Settings::load(&self.path()) {
            Ok(settings) => Ok(Client::new(settings.runtime.api_socket())),
            Err(SettingsError::Unreadable { source, .. }) if self.config.is_none() && is_private(&source) => {
                Ok(Client::new(Runtime::default().api_socket()))
            }
            Err(error) => Err(error).into_diagnostic().wrap_err(
                "the configuration does not say where the supervisor listens: correct it, or name the socket with --socket",
            ),
        }
    }
}

fn is_private(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}
