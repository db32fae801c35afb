//! `transform-worker`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    transform_worker::program::main()
}
