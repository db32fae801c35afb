//! The documents: the first so many of an endless row, of about 1 KB and five table rows each.

use serde_json::Value;
use system_tests::createmeta::{Shape, createmeta};

/// A part of the row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) from: usize,
    /// Not included.
    pub(super) to: usize,
}

impl Load {
    pub(super) const fn first(count: usize) -> Self {
        Self { from: 0, to: count }
    }

    /// In pieces of at most so many.
    pub(super) fn pieces(self, size: usize) -> impl Iterator<Item = Vec<Value>> {
        (self.from..self.to).step_by(size).map(move |start| {
            (start..self.to.min(start + size)).map(|number| createmeta(number as u64, Shape::SMALL).document).collect()
        })
    }
}
