//! Rows turned into the arrays that `unnest` takes.

use tokio_postgres::types::ToSql;

use crate::job::{Scope, rows::Key};

/// A parameter that can wait for its statement to be prepared.
pub(super) type Parameter = Box<dyn ToSql + Sync>;

/// The two arrays that every table's rows begin with.
pub(super) fn scopes<'a>(scopes: impl Iterator<Item = &'a Scope> + Clone) -> Vec<Parameter> {
    vec![
        Box::new(scopes.clone().map(|scope| scope.tenant.get()).collect::<Vec<i64>>()),
        Box::new(scopes.map(|scope| scope.integration).collect::<Vec<i64>>()),
    ]
}

/// The three arrays of rows that are keyed by an external id.
pub(super) fn keys<'a>(keys: impl Iterator<Item = &'a Key> + Clone) -> Vec<Parameter> {
    let mut columns = scopes(keys.clone().map(|key| &key.scope));
    columns.push(column(keys.map(|key| key.external_id.clone())));
    columns
}

/// One array.
pub(super) fn column<T>(values: impl Iterator<Item = T>) -> Parameter
where
    Vec<T>: ToSql + Sync + 'static,
{
    Box::new(values.collect::<Vec<T>>())
}
