//! Log lines: for people on a terminal, JSON everywhere else.

use std::{
    env,
    io::{self, IsTerminal},
};

use tracing_subscriber::{Registry, filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One readable line each.
    Human,
    /// One JSON object each.
    Json,
}

/// Changes the level while the program runs.
#[derive(Clone, Debug)]
pub struct LogLevel {
    handle: reload::Handle<Targets, Registry>,
}

impl LogLevel {
    /// Debug lines on, or back to what the program was started with.
    pub fn set_debug(&self, on: bool) {
        let filter =
            if on { "debug,lapin=info".parse::<Targets>().unwrap_or_default() } else { filter_from_environment() };
        if let Err(error) = self.handle.reload(filter) {
            tracing::warn!(%error, "log level not changed");
        }
    }
}

/// Starts logging to standard error. The level comes from `ETL_LOG` (such as `debug` or `info,lapin=warn`), default
/// `info,lapin=off`. Colour only on a terminal and never with `NO_COLOR`.
pub fn start(format: LogFormat) -> LogLevel {
    let terminal = io::stderr().is_terminal();
    let human = match format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, handle) = reload::Layer::new(filter_from_environment());
    let registry = tracing_subscriber::registry().with(filter);
    // A second start, as in tests that share a process, keeps the first one.
    let _ = if human {
        registry.with(fmt::layer().with_writer(io::stderr).with_ansi(colour).with_target(false)).try_init()
    } else {
        registry.with(fmt::layer().with_writer(io::stderr).json().flatten_event(true).with_target(false)).try_init()
    };
    LogLevel { handle }
}

fn filter_from_environment() -> Targets {
    env::var("ETL_LOG")
        .ok()
        .and_then(|directives| directives.parse::<Targets>().ok())
        // lapin reports every lost connection as an error of its own, although whoever uses the connection is told as well.
        .unwrap_or_else(|| "info,lapin=off".parse::<Targets>().unwrap_or_default())
}
