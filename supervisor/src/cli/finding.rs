//! What `check` and `doctor` found.

use std::{fmt::Write, process::ExitCode};

use miette::Report;

use super::output;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    /// It works, but somebody should know.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    /// What was looked at, in a word or two.
    pub(super) subject: String,
    /// What was seen.
    pub(super) detail: String,
    /// What to do about it.
    pub(super) advice: Option<String>,
}

impl Finding {
    pub(super) fn ok(subject: &str, detail: impl Into<String>) -> Self {
        Self { mark: Mark::Ok, subject: subject.to_owned(), detail: detail.into(), advice: None }
    }

    pub(super) fn warn(subject: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { mark: Mark::Warn, advice: Some(advice.into()), ..Self::ok(subject, detail) }
    }

    pub(super) fn fail(subject: &str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { mark: Mark::Fail, ..Self::warn(subject, detail, advice) }
    }
}

/// An error in one line, causes included.
pub(super) fn in_one_line(report: &Report) -> String {
    output::causes(report).join(": ").replace('\n', " ")
}

/// Writes the table; fails when one finding does.
pub(super) fn show(findings: &[Finding]) -> Result<ExitCode, Report> {
    output::bytes(table(findings, output::in_colour()).as_bytes())?;
    let failed = findings.iter().filter(|finding| finding.mark == Mark::Fail).count();
    let warned = findings.iter().filter(|finding| finding.mark == Mark::Warn).count();
    output::remark(&format!("{failed} failed, {warned} to think about, {} looked at", findings.len()));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn table(findings: &[Finding], colour: bool) -> String {
    let width = findings.iter().map(|finding| finding.subject.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { mark, subject, detail, advice } in findings {
        let (word, code) = match mark {
            Mark::Ok => ("ok  ", "32"),
            Mark::Warn => ("warn", "33"),
            Mark::Fail => ("FAIL", "31"),
        };
        let word = if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{word}  {subject:<width$}  {detail}");
        if let Some(advice) = advice {
            let _ = writeln!(text, "      {:<width$}  -> {advice}", "");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_for_each_finding_and_one_for_its_advice() {
        let findings = [Finding::ok("broker", "answers"), Finding::fail("database", "is gone", "start it")];
        assert_eq!(
            table(&findings, false),
            "ok    broker    answers\nFAIL  database  is gone\n                -> start it\n"
        );
        assert!(table(&findings, true).contains("\x1b[31mFAIL\x1b[0m"));
    }
}
