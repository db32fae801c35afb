//! Attempts of somebody who has taken over a worker, and the tables of them in `docs/security.md`.

use std::{env, fmt::Write, fs};

use crate::stack::checkout;

/// Something that must not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried, as the documentation says it.
    pub what: String,
    /// How it was refused, or what came of it.
    pub outcome: Result<String, String>,
}

impl Attempt {
    /// It was refused, with these words.
    pub fn refused(what: impl Into<String>, with: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Ok(with.into()) }
    }

    /// It was not.
    pub fn succeeded(what: impl Into<String>, with: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Err(with.into()) }
    }
}

/// Checks that every attempt was refused, and that `docs/security.md` shows just these between the marks of this section;
/// `UPDATE_DOCS=1` writes them there.
pub fn all_refused_as_documented(section: &str, attempts: &[Attempt]) {
    assert!(!attempts.is_empty(), "nothing was tried");
    let succeeded: Vec<_> = attempts.iter().filter(|attempt| attempt.outcome.is_err()).collect();
    assert!(succeeded.is_empty(), "not refused: {succeeded:#?}");
    let mut table = "| attempt | refused with |\n|---|---|\n".to_owned();
    for attempt in attempts {
        let with = attempt.outcome.as_deref().unwrap_or_default();
        let _ = writeln!(table, "| {} | {} |", cell(&attempt.what), cell(with));
    }
    let path = checkout().join("docs/security.md");
    let document = fs::read_to_string(&path).expect("docs/security.md is in the checkout");
    let (begin, end) = (format!("<!-- refused {section}: begin -->\n"), format!("<!-- refused {section}: end -->\n"));
    let (head, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("docs/security.md has no {begin}"));
    let (shown, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("docs/security.md has no {end}"));
    if shown == table {
        return;
    }
    if env::var_os("UPDATE_DOCS").is_some() {
        return fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).expect("docs/security.md can be written");
    }
    panic!(
        "docs/security.md does not show what was refused {section}; if this is right, renew it with\n  \
         UPDATE_DOCS=1 cargo test -p system-tests --test walls --test accounts --test attacks\n--- shown\n{shown}--- found\n{table}"
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
