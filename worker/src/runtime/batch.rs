//! One transaction: lock, fetch, transform, write, commit. Nothing of a batch is kept unless all of it is.

use std::cell::RefCell;

use etl_shared::flight::Mark;

use super::{flight::Flight, rehearsal, seam};
use crate::{
    job::{
        Assignment, DeadLetter, Done, Fate, Reason, RowSet, Wait, inspection::Found, inspection::inspect,
        registry::Transformed,
    },
    store::{Completed, Store, StoreError},
};

/// Documents that take more room than this where they are stored (which is compressed) are fetched one by one, after the
/// flight record has named them.
const BIG: u64 = 32 * 1024;
/// Small documents are fetched together up to this sum.
const TOGETHER: u64 = 1024 * 1024;
/// A batch ends with the document that brings it over this sum; the other messages wait for the next one.
const MOST: u64 = 32 * 1024 * 1024;

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

/// Serves the messages in one transaction and returns the fate of each; `None` where the batch was too big for it.
pub(super) async fn transact(
    store: &mut Store,
    flight: &RefCell<Flight>,
    items: &[Item],
    dry_run: bool,
) -> Result<Vec<Option<Fate>>, StoreError> {
    let committing = |chosen: &mut dyn Iterator<Item = Mark>| flight.borrow_mut().committing(chosen);
    committing(&mut items.iter().map(|item| item.mark));
    let works: Vec<Assignment> = items.iter().map(|item| item.work).collect();
    let (mut transaction, found) = store.begin(&works).await?;

    let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
    let mut sizes = Vec::new();
    for (n, (work, found)) in works.iter().zip(&found).enumerate() {
        match inspect(work, found) {
            Err(Fate::Ack(Done::AlreadyCompleted)) if dry_run => sizes.push((n, stored(found))),
            Err(fate) => fates[n] = Some(fate),
            Ok(()) => sizes.push((n, stored(found))),
        }
    }

    let mut results: Vec<Option<Transformed>> = items.iter().map(|_| None).collect();
    for group in groups(&sizes) {
        match group.as_slice() {
            [one] => flight.borrow_mut().transforming(items[*one].mark),
            several => committing(&mut several.iter().map(|n| items[*n].mark)),
        }
        let wanted: Vec<Assignment> = group.iter().map(|n| works[*n]).collect();
        let fetched = transaction.documents(&wanted, |at, document| {
            let n = group[at];
            flight.borrow_mut().transforming(items[n].mark);
            seam::look(document);
            match (works[n].data_type.transform)(document, works[n].scope) {
                Ok(transformed) => results[n] = Some(transformed),
                Err(shape) => {
                    let (reason, detail) = (Reason::PayloadShape, shape.to_string());
                    fates[n] = Some(Fate::DeadLetter(DeadLetter { reason, detail, fails: Some(works[n].row()) }));
                }
            }
        });
        if let Err(error) = fetched.await {
            transaction.roll_back().await;
            return Err(error);
        }
        for n in group {
            if results[n].is_none() && fates[n].is_none() {
                let detail = "the document of the locked raw row could not be read".to_owned();
                fates[n] = Some(Fate::Retry(Wait::Unexpected, detail));
            }
        }
    }

    // From here on it is no longer the last document alone that may be the cause of what happens.
    committing(&mut items.iter().map(|item| item.mark));
    // In the order of the messages, so that the batch does what its messages would have done one after the other.
    let (mut rows, mut completed) = (RowSet::default(), Vec::new());
    for (n, transformed) in results.into_iter().enumerate() {
        if let Some(Transformed { rows: more, warnings }) = transformed {
            rows.merge(more);
            completed.push(Completed { work: works[n], attempts: items[n].attempts, warnings: warnings.to_json() });
            fates[n] = Some(Fate::Ack(Done::Done));
        }
    }
    if completed.is_empty() {
        transaction.roll_back().await;
        return Ok(fates);
    }
    let ids = || completed.iter().map(|row| row.work.raw_data_id);
    committing(&mut items.iter().filter(|item| ids().any(|id| id == item.work.raw_data_id)).map(|item| item.mark));
    let changed = if dry_run {
        let changed = transaction.rehearse(&rows, &completed).await?;
        rehearsal::print(&rows, &completed, &changed);
        changed
    } else {
        transaction.commit(&rows, &completed).await?
    };
    tracing::debug!(messages = completed.len(), rows = rows.len(), ?changed, "batch committed");
    Ok(fates)
}

const fn stored(found: &Found) -> u64 {
    match found {
        Found::Own(row) => row.stored_bytes,
        Found::Foreign | Found::Nothing => 0,
    }
}

/// Which documents are fetched together: big ones alone, small ones up to a sum, and none beyond what a batch may hold.
fn groups(sizes: &[(usize, u64)]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let (mut all, mut small, mut together): (u64, Vec<usize>, u64) = (0, Vec::new(), 0);
    for (n, size) in sizes.iter().copied() {
        if all > 0 && all + size > MOST {
            break;
        }
        all += size;
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
        assert_eq!(groups(&sizes(&[big, big, 10])), [vec![0]]);
        assert_eq!(groups(&sizes(&[MOST * 3, 10])), [vec![0]]);
        let every: Vec<usize> = groups(&sizes(&[1000; 512])).concat();
        assert_eq!(every, (0..512).collect::<Vec<_>>());
    }
}
