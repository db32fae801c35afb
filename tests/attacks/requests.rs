//! Requests that two readers could read differently, that are too large, or that never end.

use std::time::Duration;

use system_tests::refusals::Attempt;

use crate::{
    Scene,
    wire::{outcomes, stop},
};

const CONTROL: &str = "POST /api/v1/admin/workers/tenant/control HTTP/1.1\r\nHost: localhost\r\n";
/// A second request inside of what the first one may take for its body.
const HIDDEN: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
/// Longer than the supervisor's own limits of 30 s for a head, 10 s for a body, and 30 s for an answer that nobody takes.
const SLOW: Duration = Duration::from_secs(50);

pub(crate) async fn attempts(scene: &Scene) -> Vec<Attempt> {
    let own = format!("Authorization: Bearer {}\r\n", scene.own);
    let body = stop(1);
    let length = body.len();
    let head = |rest: &str| format!("{CONTROL}{own}{rest}");
    let slow_head = async {
        let answer = scene.exchange(format!("{CONTROL}{own}X-Slow: ").as_bytes(), SLOW).await;
        ended("a head that never ends", &answer)
    };
    let slow_body = async {
        let answer = scene.exchange(head(&format!("Content-Length: {length}\r\n\r\n{{\"act")).as_bytes(), SLOW).await;
        ended("a body that never ends", &answer)
    };
    let slow_reader = async {
        let what = "answers that nobody reads";
        let left = scene.never_reads("GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n", SLOW).await;
        if left {
            Attempt::refused(what, "the connection is closed")
        } else {
            Attempt::succeeded(what, "they are kept")
        }
    };
    let tries = async {
        let chunked = "Transfer-Encoding: chunked\r\n";
        let lines = |count: usize| "X-A: y\r\n".repeat(count);
        let tries = [
            (
                "two Authorization headers",
                head(&format!(
                    "Connection: close\r\nAuthorization: Bearer x\r\nContent-Length: {length}\r\n\r\n{body}"
                )),
            ),
            (
                "two different Content-Length headers",
                head(&format!("Content-Length: {length}\r\nContent-Length: 0\r\n\r\n{body}")),
            ),
            ("a Content-Length that is a list", head(&format!("Content-Length: {length}, 0\r\n\r\n{body}"))),
            ("a negative Content-Length", head(&format!("Content-Length: -1\r\n\r\n{body}"))),
            ("a Content-Length with a sign", head(&format!("Content-Length: +{length}\r\n\r\n{body}"))),
            (
                "Transfer-Encoding and Content-Length",
                head(&format!("{chunked}Content-Length: {length}\r\n\r\n0\r\n\r\n{HIDDEN}")),
            ),
            ("an unknown Transfer-Encoding", head(&format!("Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n{HIDDEN}"))),
            (
                "a Transfer-Encoding with a blank before the colon",
                head(&format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{HIDDEN}")),
            ),
            ("a chunk whose length is no number", head(&format!("{chunked}\r\nzz\r\n{HIDDEN}"))),
            (
                "a header line that goes on in the next one",
                head(&format!("X-A: b\r\n\tAuthorization: Bearer x\r\nContent-Length: {length}\r\n\r\n{body}")),
            ),
            ("a zero byte in a header", head("X-A: \0\r\n\r\n")),
            ("a lone line feed in a header", head("X-A: b\rX-B: c\r\n\r\n")),
            ("a head of 64 KiB", head(&format!("X-A: {}\r\n\r\n", "y".repeat(64 * 1024)))),
            ("10,000 header lines", head(&format!("{}\r\n", lines(10_000)))),
            ("a path of 64 KiB", format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "y".repeat(64 * 1024))),
            (
                "a body of 1 MiB",
                head(&format!(
                    "Connection: close\r\nContent-Length: {}\r\n\r\n{}",
                    1024 * 1024,
                    "y".repeat(1024 * 1024)
                )),
            ),
            (
                "a body of 1 MiB in chunks",
                head(&format!("Connection: close\r\n{chunked}\r\n100000\r\n{}\r\n0\r\n\r\n", "y".repeat(1024 * 1024))),
            ),
            ("JSON nested 10,000 deep", {
                let deep = "[".repeat(10_000);
                head(&format!("Connection: close\r\nContent-Length: {}\r\n\r\n{deep}", deep.len()))
            }),
            ("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
            ("TRACE", format!("TRACE /livez HTTP/1.1\r\nHost: localhost\r\n{own}Connection: close\r\n\r\n")),
            ("CONNECT", format!("CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n{own}Connection: close\r\n\r\n")),
        ];
        let mut attempts = Vec::new();
        for (what, text) in tries {
            // What the server does not read to its end it may answer with a reset; then there is no answer to read.
            let answer = scene.exchange(text.as_bytes(), Duration::from_secs(20)).await;
            attempts.push(if answer.is_empty() {
                Attempt::refused(what, "the connection is closed")
            } else {
                alone(what, &answer)
            });
        }
        attempts
    };
    let (mut attempts, head, body, reader) = tokio::join!(tries, slow_head, slow_body, slow_reader);
    attempts.extend([head, body, reader]);
    attempts.extend(in_the_log(scene).await);
    attempts
}

/// One answer, a refusal, and nothing of what was hidden.
fn alone(what: &str, answer: &str) -> Attempt {
    let answers = outcomes(answer);
    match answers.as_slice() {
        [one] if one.starts_with('4') => Attempt::refused(what, one.clone()),
        _ => Attempt::succeeded(what, answers.join(", then ")),
    }
}

fn ended(what: &str, answer: &str) -> Attempt {
    if answer.contains("still open") {
        return Attempt::succeeded(what, "it is waited for");
    }
    if answer.is_empty() { Attempt::refused(what, "the connection is closed") } else { alone(what, answer) }
}

/// Line ends and escapes of terminals in whatever ends up in log lines.
async fn in_the_log(scene: &Scene) -> Vec<Attempt> {
    let forged = "a\\nFORGED\\u001b[2Jx";
    let own = format!("Authorization: Bearer {}", scene.admin);
    let token = |name: &str| format!(r#"{{"name":"{name}","role":"admin"}}"#);
    let post = crate::wire::request("POST", "/api/v1/admin/tokens", &[&own], &token(forged));
    let mut attempts = vec![scene.attempt("a line end in a token's name", &post).await];
    let subject = crate::forged::jwt(&serde_json::json!({"sub": "a\nFORGED\u{1b}[2J", "tenant_id": 1}));
    let bearer = format!("Authorization: Bearer {subject}");
    let paths = crate::wire::request("DELETE", "/api/v1/admin/tokens/a%0AFORGED%1b%5b2J", &[&own], "");
    let control = crate::wire::request("POST", "/api/v1/admin/workers/control", &[&bearer], r#"{"action":"stop"}"#);
    for bytes in [control, paths] {
        scene.answers(&bytes).await;
    }
    let log = scene.supervisor.log();
    let clean = log.lines().all(|line| !line.starts_with("FORGED")) && !log.contains("\u{1b}[2J");
    let what = "line ends and escapes in a JWT's subject and in a path, to forge lines of the log";
    let outcome = "escaped or replaced";
    attempts.push(if clean {
        Attempt::refused(what, outcome)
    } else {
        Attempt::succeeded(what, "they are in the log")
    });
    attempts
}
