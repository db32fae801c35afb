//! The database's side: the walls between tenants, each tenant's role, and the table that says which accounts there are.

mod catalogue;
mod ledger;
mod policies;
mod proof;
mod rights;
mod roles;
mod walls;

pub(super) use ledger::{Account, Accounts, Claim, Ledger, State};
pub(super) use roles::{RoleFacts, Roles, verifier};
pub use walls::{Walls, WallsError};
