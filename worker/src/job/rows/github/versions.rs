//! Rows that say how new they are: older news never overwrites newer.
//!
//! A row is written where its time or the stored one is unknown, or its own is not earlier. What is stored is not known here,
//! so two rows of one key can be made one only where the result is the same whatever is stored.

use crate::job::{reading::Moment, rows::Given};

/// A row with its time.
pub(super) trait Versioned: PartialEq + Sized {
    /// When the other system changed it last.
    fn version(&self) -> Given<Moment>;

    /// What is left of both where this one is written over an earlier one.
    fn laid_over(self, earlier: Self) -> Self;

    /// Whether nothing is left of an earlier one where this one is written over it.
    fn replaces(&self, earlier: &Self) -> bool;
}

/// What both do one after the other where the first one is written.
pub(super) fn overlay<R: Versioned>(earlier: R, later: R) -> R {
    match (earlier.version(), later.version()) {
        (Some(Some(first)), Some(Some(second))) if second < first => earlier,
        _ => later.laid_over(earlier),
    }
}

/// Whether [`overlay`] would differ from writing one after the other for something that may be stored.
pub(super) fn clash<R: Versioned>(earlier: &R, later: &R) -> bool {
    if earlier == later {
        return false;
    }
    match (earlier.version(), later.version()) {
        // A stored row may lie between the two: then only the second one is written.
        (Some(Some(first)), Some(Some(second))) => second > first && !later.replaces(earlier),
        _ => true,
    }
}
