//! Letters of messages with which workers died: what is held against them is forgotten before they are published again.

use serde_json::json;
use system_tests::{
    Platform, Setup, Supervisor, eventually,
    faults::{Fault, faulty},
};

use super::letters::{LONG, ids, mend, open, page, replay};

/// A message with which two workers have died, and its letter.
async fn poison() -> (Platform, Supervisor, i64) {
    let platform = Platform::with_tenants(&[1]).await;
    let supervisor = Supervisor::start(&Setup::faulty(&platform, &[])).await;
    let raw = platform.submit(1, &faulty(2, Fault::Abort)).await;
    assert_eq!(platform.ended(raw).await.status, "failed");
    let letters = page(&supervisor, "reason=poison").await.letters;
    assert_eq!(letters.iter().map(|letter| letter.raw_data_id).collect::<Vec<_>>(), [Some(raw)]);
    (platform, supervisor, raw)
}

#[tokio::test]
async fn one_that_was_mended_is_forgiven_and_done() {
    let (platform, supervisor, raw) = poison().await;
    mend(&platform, &[raw]).await;
    let settled = replay(&supervisor, json!({"filter": {"reason": "poison"}})).await;
    assert_eq!((settled.done, settled.failed.len()), (1, 0), "{settled:?}");
    platform.completed(&[raw]).await;
    assert_eq!((ids(&platform).await.len(), open(&platform).await), (1, 0));
}

#[tokio::test]
async fn one_that_was_not_kills_as_often_as_before_and_has_a_letter_of_its_own() {
    let (platform, supervisor, _) = poison().await;
    assert_eq!(replay(&supervisor, json!({"filter": {}})).await.done, 1);
    eventually("it is given up a second time", LONG, async || {
        match (ids(&platform).await.len(), open(&platform).await) {
            (2, 1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let second = page(&supervisor, "").await.letters;
    assert_eq!(second[0].reason, "poison", "{second:?}");
}
