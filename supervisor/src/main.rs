//! The operator's program: runs the supervisor and talks to the one that runs.

use std::process::ExitCode;

use clap::Parser;
use etl_supervisor::cli::{self, Cli};

fn main() -> ExitCode {
    cli::main(Cli::parse())
}
