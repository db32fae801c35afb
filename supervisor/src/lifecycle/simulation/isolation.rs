//! One tenant's trouble is no other tenant's.
