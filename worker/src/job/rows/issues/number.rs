//! Numbers that can be compared.

use serde::Serialize;

/// A finite number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Number(f64);

// Without "not a number" every value equals itself.
impl Eq for Number {}

impl Number {
    /// Reads a number, be it written as a JSON number or by a person.
    pub fn parse(text: &str) -> Option<Self> {
        text.trim().parse().ok().filter(|number: &f64| number.is_finite()).map(Self)
    }

    /// As it is stored.
    pub const fn get(self) -> f64 {
        self.0
    }
}
