//! The program from its command line to its exit code.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use etl_shared::{exit_code, hidden::hide_memory, telemetry};

use crate::{runtime, settings::Settings};

/// What `main` does.
pub fn main() -> ExitCode {
    // Where that is refused, the worker is no worse than any other program.
    let _ = hide_memory();
    let settings = match Settings::try_parse() {
        Ok(settings) => settings,
        Err(usage) => {
            let _ = usage.print();
            return ExitCode::from(if usage.use_stderr() { exit_code::USAGE } else { 0 });
        }
    };
    let log = telemetry::start(settings.log_format.into());
    let built = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // Looking up a name takes a thread; it need not stay.
        .max_blocking_threads(2)
        .thread_keep_alive(Duration::from_millis(10))
        .build();
    let tokio = match built {
        Ok(tokio) => tokio,
        Err(error) => {
            tracing::error!(%error, "the runtime could not be started");
            return ExitCode::from(exit_code::INTERNAL);
        }
    };
    let outcome = tokio.block_on(runtime::run(settings, log));
    // Nothing is left to wait for: what is not acknowledged goes back to the queue.
    tokio.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::from(exit_code::DRAINED),
        Err(failure) => {
            let code = failure.exit_code();
            tracing::error!(exit_code = code, "{}", failure.chain());
            ExitCode::from(code)
        }
    }
}
