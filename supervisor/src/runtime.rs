//! Drives the fleet: one task owns it, everybody else sends orders and reads the published view.

pub mod brain;
pub mod handle;
pub mod view;

pub use handle::{ControlError, Handle, Selection};
pub use view::{FleetView, WorkerView};
