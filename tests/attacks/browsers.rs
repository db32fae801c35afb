//! Other sites' pages in the browser of somebody who is logged in, and cookies that are not one's own.

use serde_json::json;
use system_tests::refusals::Attempt;

use crate::{
    Scene,
    wire::{request, stop},
};

const SESSION: &str = "/api/v1/session";
const CONTROL: &str = "/api/v1/admin/workers/tenant/control";

impl Scene {
    /// Cookie and word of a new session.
    async fn login(&self, token: &str) -> (String, String) {
        let answer = self.exchange(&login_of(token, &[]), std::time::Duration::from_secs(20)).await;
        let part = |after: &str, until: char| {
            answer.split(after).nth(1).and_then(|rest| rest.split(until).next()).unwrap_or_else(|| panic!("{answer}"))
        };
        (
            format!("Cookie: etl_session={}", part("etl_session=", ';')),
            format!("X-CSRF-Token: {}", part("\"csrf_token\":\"", '"')),
        )
    }
}

fn login_of(token: &str, headers: &[&str]) -> Vec<u8> {
    request("POST", SESSION, headers, &json!({ "token": token }).to_string())
}

pub(crate) async fn attempts(scene: &Scene) -> Vec<Attempt> {
    let (cookie, word) = scene.login(&scene.own).await;
    let (other_cookie, other_word) = scene.login(&scene.own).await;
    let (cookie, word) = (cookie.as_str(), word.as_str());
    let (body, form) = (stop(1), "Content-Type: application/x-www-form-urlencoded");
    let post = |headers: &[&str]| request("POST", CONTROL, headers, &body);
    let status = "/api/v1/admin/workers/tenant/1/status";
    let read = |headers: &[&str]| request("GET", status, headers, "");
    assert_eq!(scene.answers(&read(&[cookie])).await, ["200"], "the cookie reads");
    let confirmed = request("POST", "/api/v1/admin/workers/tenant/control", &[cookie, word], &stop(9));
    assert_eq!(scene.answers(&confirmed).await, ["403 foreign_tenant"], "with its word it gets as far as the decision");
    let evil = "Origin: https://evil.example";
    let longer = cookie.replace("etl_session=", "etl_session=a");
    let tries = [
        ("a page of another site posts (cookie only)", post(&[cookie, evil, "Sec-Fetch-Site: cross-site"])),
        ("a form of another site", post(&[cookie, form])),
        ("a form as plain text", post(&[cookie, "Content-Type: text/plain"])),
        ("the cookie's word guessed", post(&[cookie, "X-CSRF-Token: 0000"])),
        ("the word of another session", post(&[cookie, &other_word])),
        ("the word twice", post(&[cookie, word, word])),
        ("the word in the query", request("POST", &format!("{CONTROL}?csrf_token={}", &word[14..]), &[cookie], &body)),
        ("the word from another origin", post(&[cookie, word, evil])),
        ("the word from a sandboxed frame", post(&[cookie, word, "Origin: null"])),
        ("the word from a sibling host", post(&[cookie, word, "Origin: http://localhost.evil.example"])),
        ("the word from another port", post(&[cookie, word, "Origin: http://localhost:1"])),
        ("the word from the same site but another origin", post(&[cookie, word, "Sec-Fetch-Site: same-site"])),
        ("another site logs its visitor in", login_of(&scene.own, &[evil])),
        ("a logout by another site", request("DELETE", SESSION, &[cookie], "")),
        ("a name that was pointed here (DNS rebinding)", {
            let text = String::from_utf8(read(&[cookie])).unwrap_or_default();
            text.replace("Host: localhost", "Host: evil.example").into_bytes()
        }),
        ("a guessed cookie", read(&[&format!("Cookie: etl_session={}", "0".repeat(64))])),
        ("a cookie with a letter more", read(&[&longer])),
        ("two cookies of the name", read(&[&format!("{cookie}; {}", &other_cookie[8..])])),
        ("an admin's page by a wrong bearer beside a good cookie", read(&[cookie, "Authorization: Bearer x"])),
    ];
    let mut attempts = Vec::new();
    for (what, bytes) in tries {
        attempts.push(scene.attempt(what, &bytes).await);
    }
    // Session fixation: the attacker's cookie is in the victim's browser before the victim logs in.
    let (planted, _) = scene.login(&scene.own).await;
    assert_eq!(scene.answers(&login_of(&scene.admin, &[&planted])).await, ["200"]);
    attempts.push(scene.attempt("a cookie planted before the login, used after it", &read(&[&planted])).await);
    let (left, left_word) = scene.login(&scene.own).await;
    assert_eq!(scene.answers(&request("DELETE", SESSION, &[&left, &left_word], "")).await, ["204"]);
    attempts.push(scene.attempt("a cookie after the logout", &read(&[&left])).await);
    attempts
}
