//! Which deliveries of a channel are open, and how the settled ones are acknowledged with the fewest frames.

use std::collections::BTreeMap;

/// One acknowledgement to send.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Receipt<A> {
    /// The delivery that is named.
    pub(super) acker: A,
    /// Whether every open delivery before it is meant as well.
    pub(super) multiple: bool,
    /// How many deliveries it settles.
    pub(super) settles: usize,
}

/// The open deliveries in the order in which the broker numbered them.
#[derive(Debug)]
pub(super) struct Ledger<A> {
    open: BTreeMap<u64, Entry<A>>,
}

#[derive(Debug)]
struct Entry<A> {
    acker: A,
    settled: bool,
}

impl<A> Ledger<A> {
    pub(super) const fn new() -> Self {
        Self { open: BTreeMap::new() }
    }

    pub(super) fn delivered(&mut self, ticket: u64, acker: A) {
        self.open.insert(ticket, Entry { acker, settled: false });
    }

    pub(super) fn settle(&mut self, ticket: u64) {
        if let Some(entry) = self.open.get_mut(&ticket) {
            entry.settled = true;
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes out what is settled: one receipt for the run at the beginning, since the broker understands "all up to this one",
    /// and one each for those that have an unsettled one before them.
    pub(super) fn receipts(&mut self) -> Vec<Receipt<A>> {
        let mut receipts = Vec::new();
        let mut run = 0;
        let mut last = None;
        while let Some(first) = self.open.first_entry()
            && first.get().settled
        {
            last = Some(first.remove().acker);
            run += 1;
        }
        if let Some(acker) = last {
            receipts.push(Receipt { acker, multiple: run > 1, settles: run });
        }
        receipts.extend(self.open.extract_if(.., |_, entry| entry.settled).map(|(_, entry)| Receipt {
            acker: entry.acker,
            multiple: false,
            settles: 1,
        }));
        receipts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What a broker does with a receipt.
    fn acknowledge(unacknowledged: &mut BTreeSet<u64>, receipt: &Receipt<u64>) -> usize {
        let before = unacknowledged.len();
        assert!(unacknowledged.contains(&receipt.acker), "the broker does not know {}", receipt.acker);
        if receipt.multiple {
            unacknowledged.retain(|ticket| *ticket > receipt.acker);
        } else {
            unacknowledged.remove(&receipt.acker);
        }
        before - unacknowledged.len()
    }

    #[test]
    fn a_batch_in_order_is_one_frame_and_a_held_message_is_never_included() {
        let mut ledger = Ledger::new();
        for ticket in 1..=5 {
            ledger.delivered(ticket, ticket);
        }
        for ticket in [1, 2, 4, 5] {
            ledger.settle(ticket);
        }
        let receipts = ledger.receipts();
        assert_eq!(receipts[0], Receipt { acker: 2, multiple: true, settles: 2 });
        assert_eq!(receipts[1..].iter().map(|r| (r.acker, r.multiple)).collect::<Vec<_>>(), [(4, false), (5, false)]);
        assert_eq!(ledger.open(), 1);
        ledger.settle(3);
        assert_eq!(ledger.receipts(), [Receipt { acker: 3, multiple: false, settles: 1 }]);
        assert!(ledger.receipts().is_empty());
    }

    proptest! {
        #[test]
        fn the_broker_forgets_exactly_what_was_settled(steps in prop::collection::vec((any::<bool>(), 0_usize..20), 1..80)) {
            let mut ledger = Ledger::new();
            let (mut broker, mut unsettled) = (BTreeSet::new(), Vec::new());
            let mut next = 1;
            for (arrives, pick) in steps {
                if arrives || unsettled.is_empty() {
                    ledger.delivered(next, next);
                    broker.insert(next);
                    unsettled.push(next);
                    next += 1;
                } else {
                    ledger.settle(unsettled.swap_remove(pick % unsettled.len()));
                    if pick % 3 == 0 {
                        for receipt in ledger.receipts() {
                            prop_assert_eq!(acknowledge(&mut broker, &receipt), receipt.settles);
                        }
                        prop_assert_eq!(&broker, &unsettled.iter().copied().collect::<BTreeSet<u64>>());
                        prop_assert_eq!(ledger.open(), unsettled.len());
                    }
                }
            }
        }
    }
}
