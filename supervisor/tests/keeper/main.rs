//! The keeper as a process: what it starts, what it tells, and what is left when it or a brain dies.

#![allow(clippy::unwrap_used, reason = "a test that cannot set up its situation has failed")]

mod conversation;
mod detached;
mod endings;
mod families;
mod fuzz;
mod groups;
mod harness;
mod isolation;
mod never_two;
mod spawning;
mod stopping;
mod storm;
mod timing;
