//! Publishes dead letters again. Why the steps have this order, and why an interruption does no harm, stands in
//! [`crate::store::letters`], at the type `Taken`.

use std::time::Duration;

use axum::http::StatusCode;
use etl_shared::{
    QueueName, TenantId, amqp,
    api::{LetterFailure, LettersSettled},
    flight::fingerprint,
    publish::{Outgoing, Publisher, headers},
};
use futures_util::future::join_all;
use tokio::time;

use super::store;
use crate::{
    api::{Api, problem::Refusal},
    causes::in_one_line,
    settings::Broker,
    store::{Session, StoreError, letters::TakenLetter},
};

/// Letters of one transaction, and bytes in their bodies.
const CHUNK: (usize, i64) = (100, 4 * 1024 * 1024);
/// How long connecting to the broker may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long the confirms of a chunk may take. Its letters are locked until then, and a worker that gives one of them up again waits
/// for us: well below its `lock_timeout` of 5 s.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);
/// How long a worker may take to leave that was told to refuse a message.
const FORGIVE_WITHIN: Duration = Duration::from_secs(15);

/// Replays those of the letters that are open and this tenant's, in transactions of a chunk each.
pub(super) async fn replay(
    api: &Api,
    ids: &[i64],
    tenant: Option<TenantId>,
    by: &str,
) -> Result<LettersSettled, Refusal> {
    let mut session = store(api)?.session().await?;
    let mut open = session.open_among(ids, tenant).await?;
    let mut settled = LettersSettled { skipped: ids.len() - open.len(), ..LettersSettled::default() };
    if open.is_empty() {
        return Ok(settled);
    }
    let publisher = connect(api).await?;
    settled.failed = forgive_strikes(api, &session.suspects_among(ids, tenant).await?, by).await;
    open.retain(|(id, _)| settled.failed.iter().all(|failure| failure.id != *id));
    let mut chunks = chunks(&open).into_iter();
    for chunk in chunks.by_ref() {
        match one_chunk(&mut session, &publisher, &chunk, tenant).await {
            Ok(outcome) => {
                settled.done += outcome.done;
                settled.skipped += outcome.skipped;
                let lost = outcome.failed.iter().any(|failure| failure.code == "unconfirmed");
                settled.failed.extend(outcome.failed);
                if lost {
                    let why = "not tried: the broker has not answered for the letters before this one";
                    settled.failed.extend(chunks.flatten().map(|id| failure(id, "unconfirmed", why)));
                    break;
                }
            }
            // Nothing was done yet: a refusal says it best.
            Err(error) if settled.done == 0 && settled.failed.is_empty() => return Err(error.into()),
            Err(error) => {
                let why = in_one_line(&error);
                let rest = chunk.into_iter().chain(chunks.flatten());
                settled.failed.extend(rest.map(|id| failure(id, "database_unavailable", &why)));
                break;
            }
        }
    }
    let _ = time::timeout(CONFIRM_WITHIN, publisher.close()).await;
    Ok(settled)
}

/// Marks, publishes, commits.
async fn one_chunk(
    session: &mut Session<'_>,
    publisher: &Publisher,
    ids: &[i64],
    tenant: Option<TenantId>,
) -> Result<LettersSettled, StoreError> {
    let taken = session.take(ids, tenant).await?;
    let failed = publish(publisher, &taken.letters).await;
    let (count, not_published): (_, Vec<i64>) =
        (taken.letters.len(), failed.iter().map(|failure| failure.id).collect());
    taken.settle(&not_published).await?;
    let (done, skipped) = (count - failed.len(), ids.len() - count);
    Ok(LettersSettled { done, skipped, failed, ..LettersSettled::default() })
}

/// Which of them the broker has not confirmed.
async fn publish(publisher: &Publisher, letters: &[TakenLetter]) -> Vec<LetterFailure> {
    let messages = letters.iter().map(|letter| Outgoing {
        queue: &letter.queue,
        body: &letter.body,
        headers: headers::for_replay(&letter.headers, letter.id),
    });
    let Ok(answers) = time::timeout(CONFIRM_WITHIN, publisher.publish_many(messages.collect())).await else {
        let why = format!("the broker has not confirmed within {} seconds", CONFIRM_WITHIN.as_secs());
        return letters.iter().map(|letter| failure(letter.id, "unconfirmed", &why)).collect();
    };
    let failures = letters.iter().zip(answers).filter_map(|(letter, answer)| {
        let error = answer.err()?;
        Some(failure(letter.id, error.code(), &in_one_line(&error)))
    });
    failures.collect()
}

/// Whoever replays a letter believes that its message is harmless now. What is held against it must be forgotten before it is in the
/// queue again, or it would be refused at its first delivery. That may take as long as a worker needs to leave, so it is done before
/// anything is locked. Returns the letters that nobody could forgive in time.
///
/// Only letters with an exit report: a message that was given up for another reason is not refused for what it is suspected of.
async fn forgive_strikes(api: &Api, suspects: &[(i64, String, Vec<u8>)], by: &str) -> Vec<LetterFailure> {
    let forgiving = suspects.iter().map(async |(id, queue, body)| {
        // Nothing is held against the messages of a queue that cannot be.
        let Ok(queue) = queue.parse::<QueueName>() else { return None };
        match time::timeout(FORGIVE_WITHIN, api.context.handle.forgive(&queue, fingerprint(body), by)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(failure(*id, "not_forgiven", &error.to_string())),
            Err(_) => {
                let why = "the worker that was told to refuse this message has not left yet: replay it once more";
                Some(failure(*id, "not_forgiven", why))
            }
        }
    });
    join_all(forgiving).await.into_iter().flatten().collect()
}

async fn connect(api: &Api) -> Result<Publisher, Refusal> {
    let refusal = |code, detail| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
    let Some(broker) = &api.context.broker else {
        let detail = "a replay publishes messages, and no broker is configured: set [broker] url";
        return Err(refusal("broker_not_configured", detail.to_owned()));
    };
    connected(broker).await.map_err(|detail| refusal("broker_unavailable", detail))
}

async fn connected(broker: &Broker) -> Result<Publisher, String> {
    let uri =
        amqp::parse_url(&broker.own_url().map_err(|error| in_one_line(&error))?).map_err(|error| error.to_string())?;
    let shown = amqp::shown(&uri);
    match time::timeout(CONNECT_WITHIN, Publisher::connect(uri, "etl-supervisor replay")).await {
        Ok(Ok(publisher)) => Ok(publisher),
        Ok(Err(error)) => Err(format!("the broker at {shown} cannot be used: {error}")),
        Err(_) => Err(format!("the broker at {shown} has not answered for {} seconds", CONNECT_WITHIN.as_secs())),
    }
}

/// Cuts letters, each with the length of its body, into what one transaction holds.
fn chunks(open: &[(i64, i64)]) -> Vec<Vec<i64>> {
    let mut chunks: Vec<Vec<i64>> = Vec::new();
    let mut bytes = 0;
    for (id, length) in open {
        let fits = bytes + length <= CHUNK.1;
        match chunks.last_mut() {
            Some(chunk) if fits && chunk.len() < CHUNK.0 => chunk.push(*id),
            _ => {
                chunks.push(vec![*id]);
                bytes = 0;
            }
        }
        bytes += length;
    }
    chunks
}

fn failure(id: i64, code: &str, detail: &str) -> LetterFailure {
    LetterFailure { id, code: code.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_limited_in_letters_and_in_bytes() {
        let small: Vec<_> = (1..=250).map(|id| (id, 100)).collect();
        assert_eq!(chunks(&small).iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        let large: Vec<_> = (1..=5).map(|id| (id, CHUNK.1 / 2)).collect();
        assert_eq!(chunks(&large), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(chunks(&[(1, CHUNK.1 * 3), (2, 1)]), [vec![1], vec![2]], "one that is too large goes alone");
        assert!(chunks(&[]).is_empty());
    }
}
