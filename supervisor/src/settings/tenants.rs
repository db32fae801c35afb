//! A fixed list of tenants: `[1, 2, 7]` or `"1..1000"`, both ends included.

use std::{collections::BTreeSet, fmt};

use etl_shared::TenantId;
use serde::{
    Deserialize, Deserializer,
    de::{Error, SeqAccess, Visitor},
};

/// Most tenants that a list may name: beyond this it is a typing error, not a machine.
const MOST: i64 = 100_000;

/// Tenants named in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantSet(pub BTreeSet<TenantId>);

impl<'de> Deserialize<'de> for TenantSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SetVisitor)
    }
}

struct SetVisitor;

impl<'de> Visitor<'de> for SetVisitor {
    type Value = TenantSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tenants as a list like [1, 2, 7] or a range like \"1..1000\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TenantSet, E> {
        let range = || {
            let (first, last) = text.split_once("..")?;
            let (first, last): (TenantId, TenantId) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last && last.get() - first.get() < MOST).then_some(first.get()..=last.get())
        };
        let range = range().ok_or_else(|| {
            E::custom(format!("{text:?} is not a range of at most {MOST} tenants: write it like \"1..1000\""))
        })?;
        Ok(TenantSet(range.filter_map(|id| TenantId::try_from(id).ok()).collect()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TenantSet, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(tenant) = list.next_element()? {
            set.insert(tenant);
        }
        Ok(TenantSet(set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<i64>, String> {
        #[derive(Deserialize)]
        struct Holder {
            tenants: TenantSet,
        }
        toml::from_str::<Holder>(&format!("tenants = {text}"))
            .map(|holder| holder.tenants.0.into_iter().map(TenantId::get).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn lists_and_ranges_name_tenants() {
        assert_eq!(read("[3, 1, 3]"), Ok(vec![1, 3]));
        assert_eq!(read("\"2..4\""), Ok(vec![2, 3, 4]));
        assert_eq!(read("[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_neither_is_refused_with_an_example() {
        for wrong in ["\"4..2\"", "\"0..3\"", "\"1..9999999999\"", "\"all\"", "[0]", "[\"1\"]", "7"] {
            let error = read(wrong).unwrap_err();
            assert!(
                error.contains("1..1000") || error.contains("tenant id") || error.contains("invalid type"),
                "{wrong}: {error}"
            );
        }
    }
}
