//! Limits of memory and of database connections, for one worker and for all together.

#[path = "limits/budget.rs"]
mod budget;
#[path = "limits/connections.rs"]
mod connections;
#[path = "limits/hard.rs"]
mod hard;
#[path = "limits/soft.rs"]
mod soft;
