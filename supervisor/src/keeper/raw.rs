//! The system calls that have no safe wrapper: the only unsafe code of the supervisor.
//!
//! Each function here is safe to call with whatever its types allow. What must hold across several of them (one thread that
//! starts processes, all signals blocked) is set up by [`super::run`] and stated where it matters.

#![allow(
    unsafe_code,
    reason = "clone, exec, wait4, pidfds and descriptors received in a message have no safe form in std or nix"
)]

mod borrower;
mod kill_user;
mod launch;
mod message;
mod process;

pub(super) use kill_user::kill_user;
pub(super) use launch::{Launch, LaunchFailure, Launcher, Limit, Step};
pub(super) use message::{Control, receive, watch};
pub use process::give_up_capabilities;
pub(super) use process::{
    default_child_signal, has_ended, open_pidfd, reap, signal_pidfd, somebody_who_ended, start_as_daemon,
};
