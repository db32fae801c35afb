//! Each tenant's own accounts at broker and database: their names, their passwords, and what the control loop hears of them.
//!
//! An account has a generation. Rotating a tenant's secret means a new pair of accounts with the next generation beside the old pair:
//! both work until the tenant's workers have moved over, and then the old pair is deleted, which ends every connection that
//! still uses its secret. Nothing secret is stored: a password is derived from the master key, the kind of account, the tenant
//! and the generation.

mod addresses;
mod broker;
mod database;
mod derive;
mod desk;
mod leftover;
mod names;
mod news;
mod rotation;
mod settle;
mod task;

pub use addresses::{Addresses, AddressesError};
pub use database::{Walls, WallsError};
pub use derive::{Kind, MasterKey, MasterKeyError};
pub use desk::{Crews, WantedTenants};
pub use leftover::leftover;
pub(crate) use leftover::warn_of_leftover;
pub use names::Names;
pub use news::{AccountNews, AccountOrder, Unsettled};
pub use rotation::{Act, Rotation, Seen};
pub use task::{AccountsError, AccountsTask};
