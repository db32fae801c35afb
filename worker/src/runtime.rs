//! Joins the parts: the loop, the signals, the flight record, the ends.

mod batch;
mod failure;
mod flight;
mod held;
mod intent;
mod names;
mod outage;
mod pipeline;
mod rehearsal;
mod seam;
mod serve;
mod signals;
mod single_row;
mod start;
mod telling;
mod worker;

pub use failure::Failure;
pub use seam::before_each_transform;
pub use start::run;
