//! A place at which a program that links this library can see each document before it is transformed.
//!
//! The shipped program sets nothing here, and nothing outside a process can: the system tests build a worker of their own that
//! crashes, hangs or overflows its stack on chosen documents, and is otherwise this one.

use std::sync::OnceLock;

static SEAM: OnceLock<fn(&str)> = OnceLock::new();

/// Has `look` called with every document, as JSON text, when the flight record names its message alone and nothing of it has
/// been transformed. Only the first call of this function counts.
pub fn before_each_transform(look: fn(&str)) {
    let _ = SEAM.set(look);
}

pub(super) fn look(document: &str) {
    if let Some(look) = SEAM.get() {
        look(document);
    }
}
