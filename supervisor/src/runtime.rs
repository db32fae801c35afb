//! Drives the fleet: one task owns it, everybody else sends orders and reads the published view.
//!
//! The control loop runs on the main thread and never waits for broker, database or disk; those have a thread of their own
//! and send [`news::News`]. Requests of people come through [`Handle`], are recorded first, and then reach the loop.

mod board;
pub mod brain;
mod control;
mod events_file;
pub mod handle;
pub mod host_memory;
mod keeper_link;
mod less;
mod lock;
mod log_watch;
mod news;
pub mod overrides;
mod reason;
mod recorder;
mod roster;
pub mod sample;
mod signals;
mod strikes_file;
pub mod view;

pub use handle::{ControlError, Handle, Selection};
pub use news::News;
pub use view::{FleetView, WorkerView};
