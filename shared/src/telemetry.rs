//! Log lines: for people on a terminal, JSON everywhere else.

use std::{
    env,
    io::{self, IsTerminal},
};

use lines::{HumanLines, JsonLines, Whose};
use tracing_subscriber::{Registry, filter::Targets, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::environment::{INCARNATION, WORKER};

/// The environment variable that says how lines are written where no option does: `human`, `json`, or `auto`.
pub const FORMAT: &str = "ETL_LOG_FORMAT";

mod lines;

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
/// `info,lapin=off`. Where the format is left open, `ETL_LOG_FORMAT` decides. Colour only on a terminal and never with `NO_COLOR`.
/// Every line of a worker names it and its incarnation, as the environment does.
pub fn start(format: LogFormat) -> LogLevel {
    let terminal = io::stderr().is_terminal();
    let asked = match env::var(FORMAT).as_deref() {
        Ok("human") => LogFormat::Human,
        Ok("json") => LogFormat::Json,
        _ => LogFormat::Auto,
    };
    let human = match if format == LogFormat::Auto { asked } else { format } {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let (filter, handle) = reload::Layer::new(filter_from_environment());
    let registry = tracing_subscriber::registry().with(filter);
    let whose = Whose {
        worker: env::var(WORKER).ok().filter(|worker| !worker.is_empty()),
        incarnation: env::var(INCARNATION).ok().and_then(|number| number.parse().ok()),
    };
    // A second start, as in tests that share a process, keeps the first one.
    let _ = if human {
        let lines = HumanLines::new(&whose, colour);
        registry.with(fmt::layer().with_ansi(colour).event_format(lines).with_writer(io::stderr)).try_init()
    } else {
        registry.with(fmt::layer().json().event_format(JsonLines::new(&whose)).with_writer(io::stderr)).try_init()
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
