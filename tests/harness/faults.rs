//! Documents on which the faulty worker dies. In every other respect it is `transform-worker`.

use std::path::Path;

use serde_json::{Value, json};

use crate::createmeta::{Shape, createmeta};

/// The key that the faulty worker looks for in a document.
pub const KEY: &str = "fault_of_a_test";

/// What it does there.
#[derive(Debug, Clone, Copy)]
pub enum Fault<'a> {
    /// Aborts.
    Abort,
    /// Calls itself until the stack is full.
    Overflow,
    /// Reads what is not there.
    Segfault,
    /// Panics.
    Panic,
    /// Asks for more memory than it may have.
    Memory,
    /// Keeps so many MiB more for as long as it lives, and goes on.
    Keep(u32),
    /// Takes so many MiB, and holds them for ever.
    Grow(u32),
    /// Does nothing for ever.
    Hang,
    /// Waits until there is this file, takes it away, and aborts: one death for each time that the file is made.
    AbortWhen(&'a Path),
}

/// A small document with a fault in it.
pub fn faulty(seed: u64, fault: Fault<'_>) -> Value {
    let word = match fault {
        Fault::Abort => "abort".to_owned(),
        Fault::Overflow => "overflow".to_owned(),
        Fault::Segfault => "segfault".to_owned(),
        Fault::Panic => "panic".to_owned(),
        Fault::Memory => "memory".to_owned(),
        Fault::Keep(mebibytes) => format!("keep {mebibytes}"),
        Fault::Grow(mebibytes) => format!("grow {mebibytes}"),
        Fault::Hang => "hang".to_owned(),
        Fault::AbortWhen(file) => format!("abort-when {}", file.display()),
    };
    let mut document = createmeta(seed, Shape::SMALL).document;
    document[KEY] = json!(word);
    document
}
