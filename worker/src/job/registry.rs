//! The data types that this worker knows. A new one is a file under `transform/` and a line in the list below.

use std::fmt;

use super::{
    rows::{RowSet, Scope},
    transform,
    warnings::Warnings,
};

const DATA_TYPES: &[&DataType] = &[&transform::jira_custom_fields::DATA_TYPE];

/// One data type.
pub struct DataType {
    /// Its name.
    pub name: &'static str,
    /// Other names that messages and raw rows use for it.
    pub aliases: &'static [&'static str],
    /// Turns a document, as JSON text, into rows.
    pub transform: fn(&str, Scope) -> Result<Transformed, PayloadShape>,
}

/// What a document turned into.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transformed {
    /// The rows to write.
    pub rows: RowSet,
    /// What could not be used.
    pub warnings: Warnings,
}

/// The document has another shape than its type promises. The text says what was expected and never quotes the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PayloadShape(pub String);

/// Resolves a name or an alias.
pub fn find(name: &str) -> Option<&'static DataType> {
    DATA_TYPES.iter().copied().find(|known| known.name == name || known.aliases.contains(&name))
}

/// The known names, for a person.
pub fn names() -> String {
    DATA_TYPES.iter().map(|known| known.name).collect::<Vec<_>>().join(", ")
}

impl PartialEq for DataType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_name_and_no_alias_is_used_twice() {
        let all: Vec<&str> =
            DATA_TYPES.iter().flat_map(|known| known.aliases.iter().chain([&known.name])).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for name in all {
            assert!(find(name).is_some());
        }
        assert_eq!(find("jira_custom_field"), None);
    }
}
