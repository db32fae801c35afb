//! Publishes dead letters again. Why the steps have this order, and why an interruption does no harm, stands in
//! [`crate::store::letters`], at the type `Taken`.

use std::{collections::VecDeque, mem, time::Duration};

use etl_shared::{
    QueueName, TenantId,
    api::{LetterFailure, LettersSettled},
    flight::fingerprint,
    publish::{Outgoing, Publisher, headers},
};
use futures_util::future::join_all;
use tokio::time::{self, Instant};

use super::store;
use crate::{
    api::{Api, authorize::Caller, problem::Refusal, publishing::connect},
    causes::in_one_line,
    correlation,
    store::{Session, StoreError, letters::TakenLetter},
};

mod route;

/// Letters of one transaction, and bytes in their bodies.
const CHUNK: (usize, i64) = (100, 4 * 1024 * 1024);
/// How long the confirms of a chunk may take. Its letters are locked until then, and a worker that gives one of them up again waits
/// for us: well below its `lock_timeout` of 5 s.
const CONFIRM_WITHIN: Duration = Duration::from_secs(2);
/// How long a call may wait for confirms that do not come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a worker may take to leave that was told to refuse a message.
const FORGIVE_WITHIN: Duration = Duration::from_secs(15);

/// Replays those of the letters that are open and this tenant's, in transactions of a chunk each.
pub(super) async fn replay(
    api: &Api,
    ids: &[i64],
    tenant: Option<TenantId>,
    caller: &Caller,
) -> Result<LettersSettled, Refusal> {
    let (open, mut suspects) = {
        // Given back before anybody is forgiven: there are few seats, and forgiving may take long.
        let session = store(api)?.session_for(caller.tenant()).await?;
        (session.open_among(ids, tenant).await?, session.suspects_among(ids, tenant).await?)
    };
    let mut settled = LettersSettled { skipped: ids.len() - open.len(), ..LettersSettled::default() };
    let (mut open, refused) = route::replayable(open);
    settled.failed = refused;
    if open.is_empty() {
        return Ok(settled);
    }
    let mut publisher = connect(api, "replay").await?;
    suspects.retain(|(id, ..)| settled.failed.iter().all(|failure| failure.id != *id));
    settled.failed.extend(forgive_strikes(api, &suspects, &caller.name()).await);
    open.retain(|letter| settled.failed.iter().all(|failure| failure.id != letter.id));
    let lengths: Vec<_> = open.iter().map(|letter| (letter.id, letter.body_bytes)).collect();
    let mut chunks: VecDeque<_> = chunks(&lengths).into();
    let mut session = store(api)?.session_for(caller.tenant()).await?;
    let mut in_vain = Duration::ZERO;
    while let Some(chunk) = chunks.pop_front() {
        let began = Instant::now();
        let mut outcome = match one_chunk(&mut session, &publisher, &chunk, tenant).await {
            Ok(outcome) => outcome,
            // Nothing was done yet: a refusal says it best.
            Err(error) if settled.done == 0 && settled.failed.is_empty() => return Err(error.into()),
            Err(error) => {
                let why = in_one_line(&error);
                let rest = chunk.into_iter().chain(chunks.into_iter().flatten());
                settled.failed.extend(rest.map(|id| failure(id, "database_unavailable", &why)));
                break;
            }
        };
        settled.done += outcome.done;
        settled.skipped += outcome.skipped;
        let lost: Vec<_> = outcome.failed.extract_if(.., |failure| failure.code == "unconfirmed").collect();
        settled.failed.append(&mut outcome.failed);
        if lost.is_empty() {
            continue;
        }
        // One letter that breaks the connection takes its neighbours with it: alone, it fails alone.
        if chunk.len() > 1 {
            lost.iter().rev().for_each(|failure| chunks.push_front(vec![failure.id]));
        } else {
            settled.failed.extend(lost);
        }
        in_vain += began.elapsed();
        let fresh = if in_vain < PATIENCE { connect(api, "replay").await.ok() } else { None };
        let Some(fresh) = fresh else {
            let why = "not published: the broker has not answered for the letters before this one";
            settled.failed.extend(chunks.into_iter().flatten().map(|id| failure(id, "broker_unavailable", why)));
            break;
        };
        // What comes back late on the old connection must not be taken for an answer to what is sent next.
        let _ = time::timeout(CONFIRM_WITHIN, mem::replace(&mut publisher, fresh).close()).await;
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
    let origin = correlation::origin();
    let messages = letters.iter().map(|letter| Outgoing {
        queue: &letter.queue,
        body: &letter.body,
        headers: headers::for_replay(&letter.headers, letter.id, &origin),
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
