//! Objects and arrays that may turn out to be something else.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// The part of a visitor that is the same for every shape that is not the wanted one.
macro_rules! everything_else_is {
    ($value:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}
pub(crate) use everything_else_is;

/// An object of a known type, or something that cannot be used.
#[derive(Debug, Clone, Default)]
pub enum Element<T> {
    /// An object.
    Read(T),
    /// Anything else.
    #[default]
    Unusable,
}

impl<T> Element<T> {
    /// A look at the object, where it is one.
    pub const fn as_read(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Unusable => None,
        }
    }

    /// The object, where it is one.
    pub fn read(self) -> Option<T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Unusable => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Element<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Element::Read)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Element::Unusable)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Element::Unusable)
            }

            everything_else_is!(Element::Unusable);
        }
        deserializer.deserialize_any(Read(PhantomData))
    }
}

/// An array, nothing, or something that is neither.
#[derive(Debug, Clone, Default)]
pub enum List<T> {
    /// An array.
    Items(Vec<T>),
    /// The key is absent or null.
    #[default]
    Nothing,
    /// Anything else.
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut read = Vec::new();
                while let Some(item) = items.next_element()? {
                    read.push(item);
                }
                Ok(List::Items(read))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(List::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(List::Nothing)
            }

            everything_else_is!(List::Other);
        }
        deserializer.deserialize_any(Read(PhantomData))
    }
}
