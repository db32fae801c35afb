//! What a key of one of GitHub's documents says of a column: nothing, null, or a value. A value of another type says nothing.

use serde::{Deserialize, Deserializer};

use crate::job::{
    reading::{Element, Scalar},
    rows::Given,
};

/// A text as it is, be it empty.
pub(super) fn text(key: &Scalar<'_>) -> Given<String> {
    given(key, key.text().map(std::borrow::Cow::into_owned))
}

/// A whole number.
pub(super) fn int(key: &Scalar<'_>) -> Given<i32> {
    given(key, key.int())
}

/// A whole number that may be a big one.
pub(super) fn count(key: &Scalar<'_>) -> Given<i64> {
    given(key, key.id().and_then(|digits| digits.parse().ok()))
}

/// A truth value.
pub(super) fn flag(key: &Scalar<'_>) -> Given<bool> {
    given(key, key.flag())
}

fn given<T>(key: &Scalar<'_>, value: Option<T>) -> Given<T> {
    (value.is_some() || key.is_null()).then_some(value)
}

/// An object where there may be none: GitHub writes null for the author of a deleted account.
#[derive(Debug, Clone, Default)]
pub(super) enum Object<T> {
    /// The key is absent.
    #[default]
    Absent,
    /// The key is there with null.
    Null,
    /// An object.
    Read(T),
    /// Anything else.
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::<Element<T>>::deserialize(deserializer)? {
            None => Self::Null,
            Some(Element::Read(value)) => Self::Read(value),
            Some(Element::Unusable) => Self::Other,
        })
    }
}

impl<T> Object<T> {
    /// What one of its keys says; all of them are null where the object is.
    pub(super) fn key<V>(&self, read: impl FnOnce(&T) -> Given<V>) -> Given<V> {
        match self {
            Self::Read(object) => read(object),
            Self::Null => Some(None),
            Self::Absent | Self::Other => None,
        }
    }

    /// Whether there is nothing, and nothing wrong with that.
    pub(super) const fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// A look at the object, where it is one.
    pub(super) const fn as_read(&self) -> Option<&T> {
        match self {
            Self::Read(object) => Some(object),
            Self::Absent | Self::Null | Self::Other => None,
        }
    }
}
