//! Whose letters somebody sees and settles.

use etl_shared::api::{DeadLetterDetail, DeadLetterPage, LettersSettled, Problem, Role};
use serde_json::json;
use system_tests::{Platform, http::Call};

use super::{
    letters::{LETTERS, ids, letter, open, page},
    replay::without_workers,
};

#[tokio::test]
async fn a_tenants_user_sees_and_settles_its_own_letters_only() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = without_workers(&platform).await;
    letter(&platform, 1, &json!({})).await;
    letter(&platform, 2, &json!({})).await;
    let ids = ids(&platform).await;
    let (own, foreign) = (ids[0], ids[1]);
    let operator = supervisor.token(Role::Operator, Some(1)).await;
    let viewer = supervisor.token(Role::Viewer, Some(1)).await;

    let seen: DeadLetterPage = supervisor.tcp(Call::get(LETTERS).token(&operator)).await.expect_status(200).json();
    assert_eq!(seen.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [own]);
    let shown = supervisor.tcp(Call::get(&format!("{LETTERS}/{own}")).token(&operator)).await;
    let shown: DeadLetterDetail = shown.expect_status(200).json();
    assert_eq!((shown.letter.id, shown.body_encoding.as_str()), (own, "text"));
    // Whether the letter exists is none of its business.
    for id in [foreign, 987_654] {
        let reply = supervisor.tcp(Call::get(&format!("{LETTERS}/{id}")).token(&operator)).await;
        assert_eq!(reply.expect_status(404).json::<Problem>().code, "letter_unknown");
    }
    // Bodies may carry tokens: a viewer sees no letter at all.
    for path in [LETTERS.to_owned(), format!("{LETTERS}/{own}"), format!("{LETTERS}/987654")] {
        let reply = supervisor.tcp(Call::get(&path).token(&viewer)).await;
        assert_eq!(reply.expect_status(403).json::<Problem>().code, "role_too_low", "{path}");
    }
    for what in ["replay", "discard"] {
        let path = format!("{LETTERS}/{what}");
        let call = Call::post(&path, json!({"ids": [own]})).token(&viewer);
        assert_eq!(supervisor.tcp(call).await.expect_status(403).json::<Problem>().code, "role_too_low");
        let call = Call::post(&path, json!({"ids": [foreign]})).token(&operator);
        let settled: LettersSettled = supervisor.tcp(call).await.expect_status(200).json();
        assert_eq!((settled.matched, settled.done, settled.skipped), (0, 0, 1), "{what}: {settled:?}");
    }
    assert_eq!(open(&platform).await, 2, "nothing was touched so far");
    let call = Call::post(&format!("{LETTERS}/discard"), json!({"filter": {}})).token(&operator);
    let settled: LettersSettled = supervisor.tcp(call).await.expect_status(200).json();
    assert_eq!((settled.matched, settled.done), (1, 1));
    assert_eq!(page(&supervisor, "").await.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [foreign]);
}

#[tokio::test]
async fn pages_and_filters_find_every_letter_once() {
    let platform = Platform::with_tenants(&[1, 2]).await;
    let supervisor = without_workers(&platform).await;
    for number in 0..7 {
        letter(&platform, 1 + number % 2, &json!({"number": number})).await;
    }
    // What is no message must be shown as well, and harm no filter.
    let insert = "INSERT INTO dead_letters (tenant_id, queue, body, reason, detail) VALUES
        (1, 'q', '\\x1f8b00ff', 'malformed_message', 'binary'), (NULL, 'q', '[1]', 'malformed_message', 'a list'),
        (1, 'q', '{\"type\":\"x\",\"raw_data_id\":1e99,\"n\":\"\\\\u0000\"}', 'malformed_message', 'NUL'),
        (1, 'q', '{\"type\":\"other\",\"raw_data_id\":\"5\"}', 'malformed_message', 'text')";
    platform.database.client().execute(insert, &[]).await.unwrap();
    let all = ids(&platform).await;

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(&supervisor, &format!("limit=4{cursor}")).await;
        seen.extend(page.letters.iter().map(|letter| letter.id));
        let Some(next) = page.next_cursor else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(seen.iter().rev().eq(all.iter()), "newest first, each once: {seen:?}");

    for (query, expected) in [
        ("tenant_id=1", 7),
        ("tenant_id=2", 3),
        ("tenant_id=9", 0),
        ("reason=malformed_message", 4),
        ("type=jira_custom_fields", 7),
        ("type=other", 1),
        ("type=jira_custom_fields&tenant_id=2", 3),
        ("since=2020-01-01T00:00:00Z", 11),
        ("until=2020-01-01T00:00:00Z", 0),
        ("state=replayed", 0),
        ("state=all", 11),
    ] {
        assert_eq!(page(&supervisor, query).await.letters.len(), expected, "{query}");
    }
    let binary = page(&supervisor, "reason=malformed_message").await.letters.pop().expect("the oldest of them");
    let shown = supervisor.socket(Call::get(&format!("{LETTERS}/{}", binary.id))).await.unwrap();
    let shown: DeadLetterDetail = shown.expect_status(200).json();
    assert_eq!((shown.body_encoding.as_str(), shown.body.as_str()), ("base64", "H4sA/w=="));
    assert_eq!((binary.kind, binary.raw_data_id, binary.body_bytes), (None, None, 4));
}
