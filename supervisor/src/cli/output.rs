//! The only place that writes to the terminal.

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
};

use miette::{IntoDiagnostic, Report, WrapErr};

/// One line for whoever or whatever reads the command's answer.
pub(super) fn line(text: &str) -> Result<(), Report> {
    bytes(format!("{text}\n").as_bytes())
}

/// Bytes as they are, at once.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Report> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        // `| head` has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.into_diagnostic().wrap_err("cannot write to standard output"),
    }
}

/// A remark that is not part of the answer.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Why a command failed, cause by cause.
pub(super) fn failure(report: &Report) {
    remark(&format!("etl-supervisor: {}", causes(report).join("\n  because: ")));
}

/// The causes in words, outermost first. Some libraries repeat a cause in their own words: it is said once.
pub(super) fn causes(report: &Report) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in report.chain().map(ToString::to_string) {
        if !causes.last().is_some_and(|last| last.contains(&cause)) {
            causes.push(cause);
        }
    }
    causes
}

/// Whether the answer goes to a person's screen who has not switched colour off.
pub(super) fn in_colour() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
