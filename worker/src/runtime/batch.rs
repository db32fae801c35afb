//! One transaction: lock, fetch, transform, write, commit. Nothing of a batch is kept unless all of it is.

use std::cell::{Cell, RefCell};

use etl_shared::flight::Mark;

use super::{flight::Flight, rehearsal, seam};
use crate::{
    job::{
        Assignment, Context, DeadLetter, Done, Fate, Reason, RowSet, Wait,
        batching::share_a_batch,
        inspection::{Found, inspect},
        registry,
    },
    store::{self, Begun, Store, StoreError},
};

/// Documents that take more room than this where they are stored (which is compressed) are fetched one by one, after the
/// flight record has named them.
const BIG: u64 = 32 * 1024;
/// Documents come along when their rows are locked where each takes at most its share of this.
const ALONG: u64 = 1024 * 1024;
/// Small documents are fetched together up to this sum.
const TOGETHER: u64 = 1024 * 1024;
/// A batch ends before the document that would bring it over this sum of what they take where they are stored, and after the
/// one that brings it over that sum of their texts; the other messages wait for the next one.
const MOST: u64 = 16 * 1024 * 1024;
const MOST_TEXT: usize = 32 * 1024 * 1024;

/// One message of the batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    /// What it asks for.
    pub(super) work: Assignment,
    /// How the flight record names it.
    pub(super) mark: Mark,
    /// How many attempts it has had if this one succeeds.
    pub(super) attempts: u32,
}

/// Serves the messages in one transaction and returns the fate of each; `None` where it has to wait for another one: the batch
/// was too big for it, or an earlier message must be stored first.
pub(super) async fn transact(
    store: &mut Store,
    flight: &RefCell<Flight>,
    items: &[Item],
    dry_run: bool,
) -> Result<Vec<Option<Fate>>, StoreError> {
    let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
    let items = &items[..share_a_batch(items.iter().map(|item| &item.work))];
    let committing = |chosen: &mut dyn Iterator<Item = Mark>| flight.borrow_mut().committing(chosen);
    committing(&mut items.iter().map(|item| item.mark));
    let works: Vec<Assignment> = items.iter().map(|item| item.work).collect();
    let Begun { mut transaction, found, documents, mappings } = store.begin(&works, inline(works.len())).await?;

    let mut sizes = Vec::new();
    for (n, (work, found)) in works.iter().zip(&found).enumerate() {
        match inspect(work, found) {
            Err(Fate::Ack(Done::AlreadyCompleted)) if dry_run => sizes.push((n, stored(found))),
            Err(fate) => fates[n] = Some(fate),
            Ok(()) => sizes.push((n, stored(found))),
        }
    }

    let mut results: Vec<Option<registry::Transformed>> = items.iter().map(|_| None).collect();
    let read = Cell::new(0);
    let mut transform = |n: usize, document: &str| {
        flight.borrow_mut().transforming(items[n].mark);
        seam::look(document);
        read.set(read.get() + document.len());
        let context = Context { scope: works[n].scope, mapping: mappings.get(&works[n].scope) };
        match (works[n].data_type.transform)(document, &context) {
            Ok(transformed) => results[n] = Some(transformed),
            Err(shape) => {
                let (reason, detail) = (Reason::PayloadShape, shape.to_string());
                fates[n] = Some(Fate::DeadLetter(DeadLetter { reason, detail, fails: Some(works[n].row()) }));
            }
        }
    };
    let (mut to_fetch, mut tried) = (Vec::new(), Vec::new());
    for (n, size) in within(&sizes) {
        match documents.get(&works[n].raw_data_id) {
            Some(document) => {
                tried.push(n);
                transform(n, document);
            }
            None => to_fetch.push((n, size)),
        }
    }
    drop(documents);
    for group in groups(&to_fetch) {
        if read.get() > MOST_TEXT {
            break;
        }
        let in_hand = |committing: &dyn Fn(&mut dyn Iterator<Item = Mark>)| match group.as_slice() {
            [one] => flight.borrow_mut().transforming(items[*one].mark),
            several => committing(&mut several.iter().map(|n| items[*n].mark)),
        };
        in_hand(&committing);
        let wanted: Vec<Assignment> = group.iter().map(|n| works[*n]).collect();
        let fetched = transaction.documents(&wanted, |at, document| {
            transform(group[at], document);
            // While the next one is on its way, this one is not to blame for what happens.
            in_hand(&committing);
        });
        if let Err(error) = fetched.await {
            transaction.roll_back().await;
            return Err(error);
        }
        tried.extend(group);
    }
    for n in tried {
        if results[n].is_none() && fates[n].is_none() {
            let detail = "the document of the locked raw row could not be read".to_owned();
            fates[n] = Some(Fate::Retry(Wait::Unexpected, detail));
        }
    }

    // From here on it is no longer the last document alone that may be the cause of what happens.
    committing(&mut items.iter().map(|item| item.mark));
    // In the order of the messages, so that the batch does what its messages would have done one after the other.
    let (mut rows, mut chosen, mut transformed) = (RowSet::default(), Vec::new(), Vec::new());
    for (n, result) in results.into_iter().enumerate() {
        let Some(registry::Transformed { rows: more, warnings, references }) = result else { continue };
        if rows.clashes_with(&more) {
            break;
        }
        rows.merge(more);
        chosen.push(n);
        transformed.push(store::Transformed { work: works[n], attempts: items[n].attempts, warnings, references });
    }
    if transformed.is_empty() {
        transaction.roll_back().await;
        return Ok(fates);
    }
    committing(&mut chosen.iter().map(|n| items[*n].mark));
    let ended = if dry_run {
        let ended = transaction.rehearse(&rows, &transformed).await?;
        rehearsal::print(&rows, &transformed, &ended);
        ended
    } else {
        transaction.commit(&rows, &transformed).await?
    };
    for (n, completed) in chosen.iter().zip(&ended.completed) {
        fates[*n] = Some(if *completed {
            Fate::Ack(Done::Done)
        } else {
            Fate::Retry(Wait::ParentMissing, "nothing that the document belongs to is stored yet".to_owned())
        });
    }
    tracing::debug!(messages = transformed.len(), rows = rows.len(), changed = ?ended.changed, "batch committed");
    Ok(fates)
}

/// Up to which size documents come along when their rows are locked.
const fn inline(messages: usize) -> u64 {
    let share = ALONG / if messages == 0 { 1 } else { messages as u64 };
    if share < BIG { share } else { BIG }
}

const fn stored(found: &Found) -> u64 {
    match found {
        Found::Own(row) => row.stored_bytes,
        Found::Foreign | Found::Nothing => 0,
    }
}

/// As many documents, from the first one on, as a batch may hold, and at least one.
fn within(sizes: &[(usize, u64)]) -> impl Iterator<Item = (usize, u64)> {
    let mut all = 0;
    sizes.iter().copied().take_while(move |(_, size)| {
        let fits = all == 0 || all + size <= MOST;
        all += size;
        fits
    })
}

/// Which documents are fetched together: big ones alone, small ones up to a sum.
fn groups(sizes: &[(usize, u64)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let (mut small, mut together): (Vec<usize>, u64) = (Vec::new(), 0);
    for (n, size) in sizes.iter().copied() {
        if size > BIG {
            groups.push(vec![n]);
            continue;
        }
        if together + size > TOGETHER {
            groups.push(std::mem::take(&mut small));
            together = 0;
        }
        small.push(n);
        together += size;
    }
    if !small.is_empty() {
        groups.push(small);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(sizes: &[u64]) -> Vec<(usize, u64)> {
        sizes.iter().copied().enumerate().collect()
    }

    #[test]
    fn small_documents_travel_together_and_a_big_one_alone() {
        assert_eq!(groups(&sizes(&[10, 2_000_000, 10])), [vec![1], vec![0, 2]]);
        assert_eq!(groups(&sizes(&[10; 50])).len(), 1);
        assert_eq!(groups(&sizes(&[30_000; 50])).len(), 2);
        assert!(groups(&[]).is_empty());
    }

    #[test]
    fn a_batch_stops_before_it_holds_too_much_and_always_serves_at_least_one() {
        let big = 20 * 1024 * 1024;
        let within = |given: &[u64]| super::within(&sizes(given)).map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(within(&[big, big, 10]), [0]);
        assert_eq!(within(&[MOST * 3, 10]), [0]);
        assert_eq!(within(&[1000; 512]), (0..512).collect::<Vec<_>>());
    }
}
