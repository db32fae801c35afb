//! Programs rely on codes: every one that is in the sources is in the documentation, with its status.

use std::{collections::BTreeSet, fs, path::Path};

/// The status and the code of each refusal, as the sources spell them.
fn refusals(directory: &Path, found: &mut BTreeSet<(u16, String)>) {
    const WAYS: [(&str, u16); 18] = [
        ("bad_request(", 400),
        ("unauthenticated(", 401),
        ("forbidden(", 403),
        ("conflict(", 409),
        ("too_many(", 429),
        ("unavailable(", 503),
        ("BAD_REQUEST,", 400),
        ("UNAUTHORIZED,", 401),
        ("FORBIDDEN,", 403),
        ("NOT_FOUND,", 404),
        ("METHOD_NOT_ALLOWED,", 405),
        ("REQUEST_TIMEOUT,", 408),
        ("CONFLICT,", 409),
        ("PRECONDITION_FAILED,", 412),
        ("PAYLOAD_TOO_LARGE,", 413),
        ("TOO_MANY_REQUESTS,", 429),
        ("INTERNAL_SERVER_ERROR,", 500),
        ("SERVICE_UNAVAILABLE,", 503),
    ];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                refusals(&path, found);
            }
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text: String = text.split_whitespace().collect();
        for (way, status) in WAYS {
            for (at, _) in text.match_indices(&format!("{way}\"")) {
                let code = text[at + way.len() + 1..].split('"').next().unwrap();
                // What is only told in the audit log is nobody's answer.
                if code.chars().all(|char| char.is_ascii_lowercase() || char == '_') && code != "interrupted" {
                    found.insert((status, code.to_owned()));
                }
            }
        }
    }
}

#[test]
fn every_code_is_documented_with_its_status() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    refusals(&root.join("src/api"), &mut found);
    assert!(found.len() > 40, "{found:?}");
    let document = fs::read_to_string(root.join("../docs/api.md")).unwrap();
    let (_, table) = document.split_once("| status | code |").expect("the table of codes");
    let is_documented = |status: u16, code: &str| {
        let row = table.lines().find(|line| line.starts_with(&format!("| {status} |")));
        row.is_some_and(|row| row.contains(&format!("`{code}`")))
    };
    let missing: Vec<_> = found.iter().filter(|(status, code)| !is_documented(*status, code)).collect();
    assert!(missing.is_empty(), "docs/api.md, Errors, lacks {missing:?}");
}
