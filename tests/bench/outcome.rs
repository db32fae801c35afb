//! Errors of the bench: a sentence for the person who started it.

use std::{error::Error, fmt::Display};

/// What can fail here.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// Says what was being done when something failed.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| format!("{what}: {error}").into())
    }
}
