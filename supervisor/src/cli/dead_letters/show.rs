//! Letters as text.

use std::fmt::Write;

use etl_shared::api::{DeadLetter, DeadLetterDetail, LetterState};

/// A line each: number, time, whose, why, what it names, and the reason in a sentence.
pub(super) fn lines(letters: &[DeadLetter], colour: bool) -> String {
    let mut text = String::new();
    for letter in letters {
        let reason = format!("{:<20}", letter.reason);
        let reason = if colour { format!("\x1b[33m{reason}\x1b[0m") } else { reason };
        let state = match letter.state {
            LetterState::Open => String::new(),
            settled => format!("{}  ", settled.as_str()),
        };
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "{:>8}  {}  {:<12}  {reason}  {:<28}  {state}{}",
            letter.id,
            letter.created_at,
            whose(letter),
            names(letter),
            plain(&letter.detail.replace('\n', " ")),
        );
    }
    text
}

/// Everything about one, as fields and the message behind them.
pub(super) fn whole(detail: &DeadLetterDetail) -> String {
    let letter = &detail.letter;
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10} {value}");
    };
    field("letter", &letter.id.to_string());
    let state = letter
        .settled_at
        .as_ref()
        .map_or_else(|| letter.state.as_str().to_owned(), |at| format!("{} at {at}", letter.state.as_str()));
    field("state", &state);
    field("tenant", &letter.tenant_id.map_or_else(|| "unknown".to_owned(), |tenant| tenant.to_string()));
    field("queue", &letter.queue);
    field("given up", &format!("{} after {} attempts", letter.created_at, letter.attempts));
    field("reason", &letter.reason);
    field("", &letter.detail);
    field("names", &names(letter));
    for (name, value) in &detail.headers {
        field("header", &format!("{name}: {value}"));
    }
    if let Some(report) = &detail.exit_report {
        field("exit", &report.to_string());
    }
    field("message", &format!("{} bytes, as {}:", letter.body_bytes, detail.body_encoding));
    text.push_str(&detail.body);
    text.push('\n');
    plain(&text)
}

/// Without what a terminal would obey: a message may say anything.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn whose(letter: &DeadLetter) -> String {
    letter.tenant_id.map_or_else(|| "no tenant".to_owned(), |tenant| format!("tenant {tenant}"))
}

fn names(letter: &DeadLetter) -> String {
    let named = match (&letter.kind, letter.raw_data_id) {
        (Some(kind), Some(row)) => format!("{kind} {row}"),
        (Some(kind), None) => kind.clone(),
        (None, Some(row)) => format!("row {row}"),
        (None, None) => "-".to_owned(),
    };
    plain(&named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            id: 12,
            tenant_id: 7.try_into().ok(),
            queue: "transform_queue_tenant_7".to_owned(),
            reason: "payload_shape".to_owned(),
            detail: "the document has\nno projects".to_owned(),
            attempts: 1,
            kind: Some("jira_custom_fields".to_owned()),
            raw_data_id: Some(123),
            body_bytes: 81,
            created_at: "2026-01-02T03:04:05.678Z".to_owned(),
            state: LetterState::Open,
            settled_at: None,
        }
    }

    #[test]
    fn a_letter_is_one_line_whatever_its_detail() {
        let expected = "      12  2026-01-02T03:04:05.678Z  tenant 7      payload_shape         jira_custom_fields 123        \
                        the document has no projects\n";
        assert_eq!(lines(&[letter()], false), expected);
        let replayed =
            DeadLetter { state: LetterState::Replayed, tenant_id: None, kind: None, raw_data_id: None, ..letter() };
        let line = lines(&[replayed], false);
        assert!(line.contains("no tenant") && line.contains("  replayed  the document"), "{line}");
        let rude = DeadLetter { kind: Some("\x1b[2J".to_owned()), ..letter() };
        assert!(!lines(&[rude], false).contains('\x1b'), "what a message says is not obeyed by the terminal");
        assert!(lines(&[letter()], true).contains("\x1b[33mpayload_shape"));
    }

    #[test]
    fn the_whole_of_a_letter_ends_with_its_message() {
        let detail = DeadLetterDetail {
            letter: letter(),
            headers: serde_json::json!({"job": "j"}).as_object().cloned().unwrap_or_default(),
            exit_report: Some(serde_json::json!({"verdict": "OOM"})),
            body_encoding: "text".to_owned(),
            body: "{\"tenant_id\":7}".to_owned(),
        };
        let text = whole(&detail);
        for expected in [
            "state      open",
            "header     job: \"j\"",
            "exit       {\"verdict\":\"OOM\"}",
            "81 bytes, as text:\n{\"tenant_id\":7}\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
