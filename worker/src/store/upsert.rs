//! Upserts made from a description of the table: one statement whatever the number of rows, which changes no row that has
//! these values already.
//!
//! Rows come as one array a column. What a document says nothing of must stay as it is, but an upsert sees nothing of the new
//! row but its columns, and reading the stored row beforehand would race with another worker. So the statement is told in a
//! bit mask which columns are given, and rows that give different ones are written by the same statement in turns.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    columns::{Parameter, column},
    write::Write,
};
use crate::job::rows::Key;

/// A table and what is done with its columns.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The columns of its unique key after `tenant_id` and `integration_id`.
    pub(super) key: &'static [&'static str],
    /// In the order of the statement's parameters, which begin with tenants and integrations.
    pub(super) columns: &'static [Column],
    /// Joined to the new rows, which are called `n`. What is looked up by a unique key stands in a `LATERAL (… LIMIT 1)`, which
    /// is always one look into the index for each row: as a plain join it would be planned once, perhaps for tables that are
    /// still empty, and be read from end to end for every batch when they are not.
    pub(super) joins: &'static str,
    /// The column that says how new a row is: older news never overwrites newer.
    pub(super) newer_by: Option<&'static str>,
}

/// A column of the new rows, of the table, or of both.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    /// The type of the array's elements.
    input: Option<&'static str>,
    /// What is stored: an expression over `n` and the joins.
    value: Option<&'static str>,
    kept: Kept,
    /// What a new row gets where the column is not given; null without this.
    absent: Option<&'static str>,
}

/// When the stored value stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// There is no stored value.
    Unstored,
    /// Never.
    No,
    /// Where the bit says that the column is not given.
    Unless(u8),
    /// Where the new value is null.
    OverNull,
    /// Where it is not null itself.
    IfFilled,
    /// Always: the value is for new rows only.
    Always,
}

impl Column {
    /// Given by every row and stored as it is.
    pub(super) const fn new(name: &'static str, input: &'static str) -> Self {
        Self { name, input: Some(input), value: None, kept: Kept::No, absent: None }
    }

    /// Given by every row, used by expressions and joins, and not stored.
    pub(super) const fn input(name: &'static str, input: &'static str) -> Self {
        Self { name, input: Some(input), value: None, kept: Kept::Unstored, absent: None }
    }

    /// Stored and not given.
    pub(super) const fn computed(name: &'static str, value: &'static str) -> Self {
        Self { name, input: None, value: Some(value), kept: Kept::No, absent: None }
    }

    /// Stored as this expression.
    pub(super) const fn stored_as(mut self, value: &'static str) -> Self {
        self.value = Some(value);
        self
    }

    /// Overwritten only where this bit of the mask is set.
    pub(super) const fn if_given(mut self, bit: u8) -> Self {
        self.kept = Kept::Unless(bit);
        self
    }

    /// The same, and a new row gets this where the bit is not set.
    pub(super) const fn if_given_else(mut self, bit: u8, absent: &'static str) -> Self {
        self.absent = Some(absent);
        self.if_given(bit)
    }

    /// A null never replaces a value.
    pub(super) const fn if_not_null(mut self) -> Self {
        self.kept = Kept::OverNull;
        self
    }

    /// Only fills what is null.
    pub(super) const fn fills(mut self) -> Self {
        self.kept = Kept::IfFilled;
        self
    }

    /// Set when the row is new, never again.
    pub(super) const fn once(mut self) -> Self {
        self.kept = Kept::Always;
        self
    }

    const fn is_stored(&self) -> bool {
        !matches!(self.kept, Kept::Unstored)
    }

    fn stored(&self, mask: usize) -> String {
        let value = self.value.map_or_else(|| format!("n.{}", self.name), str::to_owned);
        match (self.kept, self.absent) {
            (Kept::Unless(bit), Some(absent)) => {
                format!("CASE WHEN ${mask}::bigint >> {bit} & 1 = 1 THEN {value} ELSE {absent} END")
            }
            _ => value,
        }
    }

    /// The value after a conflict; `None` where it stays.
    fn replaced(&self, mask: usize) -> Option<String> {
        let name = self.name;
        match self.kept {
            Kept::No => Some(format!("excluded.{name}")),
            Kept::Unless(bit) => {
                Some(format!("CASE WHEN ${mask}::bigint >> {bit} & 1 = 1 THEN excluded.{name} ELSE t.{name} END"))
            }
            Kept::OverNull => Some(format!("coalesce(excluded.{name}, t.{name})")),
            Kept::IfFilled => Some(format!("coalesce(t.{name}, excluded.{name})")),
            Kept::Always | Kept::Unstored => None,
        }
    }
}

impl Table {
    /// The statement. Its parameters: tenants, integrations, one array for each given column, and the mask where a column
    /// depends on it.
    pub(super) fn upsert(&self) -> String {
        let given: Vec<(&str, &str)> = self.columns.iter().filter_map(|c| Some((c.name, c.input?))).collect();
        let stored: Vec<&Column> = self.columns.iter().filter(|column| column.is_stored()).collect();
        let mask = given.len() + 3;
        let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");

        let arrays = list(&mut given.iter().enumerate().map(|(n, (_, kind))| format!("${}::{kind}[]", n + 3)));
        let inputs = list(&mut given.iter().map(|(name, _)| (*name).to_owned()));
        let names = list(&mut stored.iter().map(|column| column.name.to_owned()));
        let values = list(&mut stored.iter().map(|column| column.stored(mask)));
        let key = list(&mut ["tenant_id", "integration_id"].iter().chain(self.key).map(|name| (*name).to_owned()));
        // Sorted by key, so that two workers lock in one order.
        let order =
            list(&mut self.key.iter().filter_map(|name| {
                stored.iter().find(|column| column.name == *name).map(|column| column.stored(mask))
            }));
        let mut sql = format!(
            "INSERT INTO {table} AS t (tenant_id, integration_id, {names})
SELECT n.tenant_id, n.integration_id, {values}
FROM unnest($1::bigint[], $2::bigint[], {arrays}) AS n (tenant_id, integration_id, {inputs})
{joins}
ORDER BY n.tenant_id, n.integration_id, {order}
ON CONFLICT ({key}) DO ",
            table = self.name,
            joins = self.joins,
        );
        let replaced: Vec<(&str, String)> = stored
            .iter()
            .filter(|column| !self.key.contains(&column.name))
            .filter_map(|column| Some((column.name, column.replaced(mask)?)))
            .collect();
        if replaced.is_empty() {
            sql.push_str("NOTHING");
            return sql;
        }
        let set = list(&mut replaced.iter().map(|(name, value)| format!("{name} = {value}")));
        let old = list(&mut replaced.iter().map(|(name, _)| format!("t.{name}")));
        let new = list(&mut replaced.iter().map(|(_, value)| value.clone()));
        let newer = self.newer_by.map_or_else(String::new, |at| {
            format!("(t.{at} IS NULL OR excluded.{at} IS NULL OR excluded.{at} >= t.{at}) AND ")
        });
        // Writing to a string cannot fail.
        let _ = write!(
            sql,
            "UPDATE SET {set}, last_updated_at = now()\nWHERE {newer}ROW({old}) IS DISTINCT FROM ROW({new})"
        );
        sql
    }

    /// Locks the rows that exist, in the order of their keys: for tables keyed by an external id. Keys never change, so rows
    /// that refer to these may be written meanwhile by others; a stronger lock would let two workers wait for each other.
    pub(super) fn lock(&self) -> String {
        format!(
            "SELECT FROM {} WHERE (tenant_id, integration_id, external_id) IN
    (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]))
ORDER BY tenant_id, integration_id, external_id FOR NO KEY UPDATE",
            self.name
        )
    }
}

/// The statements for rows that are keyed by an external id and may give different columns: `mask` says which, `parameters`
/// makes the arrays after the key's. Rows of several masks are locked first, all in one order, because writing them in turns
/// would not keep it.
pub(super) fn by_mask<R>(
    rows: &BTreeMap<Key, R>,
    (table, upsert, lock): (&'static str, &'static str, &'static str),
    mask: impl Fn(&R) -> i64,
    parameters: impl Fn(&[(&Key, &R)]) -> Vec<Parameter>,
) -> Vec<Write> {
    let mut turns: BTreeMap<i64, Vec<(&Key, &R)>> = BTreeMap::new();
    for (key, row) in rows {
        turns.entry(mask(row)).or_default().push((key, row));
    }
    let mut writes = Vec::new();
    if turns.len() > 1 {
        writes.push(Write { table, sql: lock, parameters: super::columns::keys(rows.keys()) });
    }
    writes.extend(turns.into_iter().map(|(mask, rows)| {
        let mut all = super::columns::keys(rows.iter().map(|(key, _)| *key));
        all.extend(parameters(&rows));
        all.push(Box::new(mask));
        Write { table, sql: upsert, parameters: all }
    }));
    writes
}

/// One array made of a field of every row.
pub(super) fn field<K, R, T>(rows: &[(K, &R)], value: impl Fn(&R) -> T) -> Parameter
where
    Vec<T>: tokio_postgres::types::ToSql + Sync + 'static,
{
    column(rows.iter().map(|(_, row)| value(row)))
}

/// The mask whose bits are these.
pub(super) fn mask(given: &[bool]) -> i64 {
    given.iter().enumerate().filter(|(_, given)| **given).fold(0, |mask, (bit, _)| mask | 1 << bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_says_what_is_kept_and_changes_nothing_twice() {
        const THINGS: Table = Table {
            name: "things",
            key: &["external_id"],
            columns: &[
                Column::new("external_id", "text"),
                Column::new("name", "text"),
                Column::new("note", "text").if_given_else(3, "''"),
                Column::input("owner", "text"),
                Column::computed("owner_id", "o.id").if_not_null(),
                Column::new("made", "timestamptz").once(),
                Column::new("choice", "text").fills(),
                Column::new("updated", "timestamptz"),
            ],
            joins: "LEFT JOIN owners o ON o.name = n.owner",
            newer_by: Some("updated"),
        };
        let expected = "INSERT INTO things AS t (tenant_id, integration_id, external_id, name, note, owner_id, made, choice, updated)
SELECT n.tenant_id, n.integration_id, n.external_id, n.name, \
CASE WHEN $10::bigint >> 3 & 1 = 1 THEN n.note ELSE '' END, o.id, n.made, n.choice, n.updated
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], \
$9::timestamptz[]) AS n (tenant_id, integration_id, external_id, name, note, owner, made, choice, updated)
LEFT JOIN owners o ON o.name = n.owner
ORDER BY n.tenant_id, n.integration_id, n.external_id
ON CONFLICT (tenant_id, integration_id, external_id) DO UPDATE SET name = excluded.name, \
note = CASE WHEN $10::bigint >> 3 & 1 = 1 THEN excluded.note ELSE t.note END, \
owner_id = coalesce(excluded.owner_id, t.owner_id), choice = coalesce(t.choice, excluded.choice), \
updated = excluded.updated, last_updated_at = now()
WHERE (t.updated IS NULL OR excluded.updated IS NULL OR excluded.updated >= t.updated) AND \
ROW(t.name, t.note, t.owner_id, t.choice, t.updated) IS DISTINCT FROM ROW(excluded.name, \
CASE WHEN $10::bigint >> 3 & 1 = 1 THEN excluded.note ELSE t.note END, \
coalesce(excluded.owner_id, t.owner_id), coalesce(t.choice, excluded.choice), excluded.updated)";
        assert_eq!(THINGS.upsert(), expected);
    }

    #[test]
    fn a_relation_is_only_ever_added() {
        const PAIRS: Table = Table {
            name: "pairs",
            key: &["left_id", "right_id"],
            columns: &[
                Column::input("a", "text"),
                Column::computed("left_id", "l.id"),
                Column::computed("right_id", "r.id"),
            ],
            joins: "JOIN l ON true JOIN r ON true",
            newer_by: None,
        };
        let sql = PAIRS.upsert();
        assert!(sql.ends_with("ON CONFLICT (tenant_id, integration_id, left_id, right_id) DO NOTHING"), "{sql}");
        assert!(sql.contains("ORDER BY n.tenant_id, n.integration_id, l.id, r.id"), "{sql}");
    }

    #[test]
    fn rows_that_give_the_same_columns_share_a_statement_and_others_are_locked_first() {
        let scope = crate::job::Scope { tenant: 7.try_into().unwrap(), integration: 1 };
        let key = |n: i64| Key { scope, external_id: n.to_string() };
        let write = |rows: &BTreeMap<Key, i64>| -> Vec<(&str, usize)> {
            let writes =
                by_mask(rows, ("things", "UPSERT", "LOCK"), |row| row % 2, |rows| vec![field(rows, |row| *row)]);
            writes.iter().map(|write| (write.sql, write.parameters.len())).collect()
        };
        let even: BTreeMap<Key, i64> = (0..50).map(|n| (key(n), 2 * n)).collect();
        assert_eq!(write(&even), [("UPSERT", 5)]);
        let all: BTreeMap<Key, i64> = (0..50).map(|n| (key(n), n)).collect();
        assert_eq!(write(&all), [("LOCK", 3), ("UPSERT", 5), ("UPSERT", 5)]);
        assert!(write(&BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_mask_has_a_bit_for_each_given_column() {
        assert_eq!(mask(&[true, false, true]), 0b101);
    }
}
