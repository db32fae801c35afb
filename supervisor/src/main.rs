//! The `etl-supervisor` program.

use std::{env, error::Error, path::PathBuf, process::ExitCode};

use etl_shared::telemetry::{self, LogFormat};
use etl_supervisor::{keeper, settings};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    telemetry::start(LogFormat::Auto);
    let config = match arguments.as_slice() {
        [command] if command == "keeper" => PathBuf::from(settings::DEFAULT_PATH),
        [command, option, path] if command == "keeper" && option == "--config" => PathBuf::from(path),
        _ => {
            tracing::error!("expected: etl-supervisor keeper [--config PATH]");
            return ExitCode::from(2);
        }
    };
    match keeper::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut words = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                words = format!("{words}: {error}");
                cause = error.source();
            }
            tracing::error!("{words}");
            ExitCode::FAILURE
        }
    }
}
