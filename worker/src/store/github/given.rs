//! Upserts of rows that each give other columns.
//!
//! What is not given stays, which an upsert alone cannot say. Here the stored row cannot change meanwhile, since the locks come
//! first; so the statement joins it as `o` and takes from it what the new row's mask `given` has no bit for.

/// The columns of a table, first some of its own, then those of its rows' `columns` with the bit of each; and the arrays for the
/// latter.
macro_rules! given_columns {
    ($row:ty, $columns:ident, [$($own:expr),* $(,)?], $($bit:literal $column:ident $kind:literal,)*) => {
        const COLUMNS: &[Column] = &[
            $($own,)*
            $(Column::new(stringify!($column), $kind).stored_as(concat!(
                "CASE WHEN n.given >> ", $bit, " & 1 = 1 THEN n.", stringify!($column), " ELSE o.", stringify!($column), " END"
            )),)*
            Column::input("given", "bigint"),
        ];
        // No bit stands for two columns.
        const _: () = assert!((0_u64 $(| 1 << $bit)*).count_ones() as usize == [$($bit),*].len());

        fn given<K>(rows: &[(K, &$row)]) -> Vec<Parameter> {
            // Names every column there is.
            let mask = |$columns { $($column),* }: &$columns| 0_i64 $(| i64::from($column.is_some()) << $bit)*;
            vec![
                $(field(rows, |row: &$row| row.columns.$column.clone().flatten()),)*
                field(rows, |row: &$row| mask(&row.columns)),
            ]
        }
    };
}
pub(super) use given_columns;
