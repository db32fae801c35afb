//! Columns of which a document may say nothing.

/// A part of a row whose columns are all [`Given`](super::super::Given).
macro_rules! given_columns {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $column:ident: $kind:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
        pub struct $name {
            $(
                $(#[$meaning])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $column: super::super::Given<$kind>,
            )*
        }

        impl $name {
            /// What is left of both where these are written over earlier ones.
            pub(super) fn laid_over(self, earlier: Self) -> Self {
                Self { $($column: self.$column.or(earlier.$column),)* }
            }

            /// Whether nothing is left of earlier ones where these are written over them.
            #[allow(dead_code, reason = "not every table has versions")]
            pub(super) const fn give_all_of(&self, earlier: &Self) -> bool {
                $((self.$column.is_some() || earlier.$column.is_none()))&&*
            }
        }
    };
}
pub(super) use given_columns;
