//! Waiting on conditions: with a deadline, and with what was seen last in the failure.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

/// Long enough for anything that should happen at once, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(15);

/// Asks until the answer is `Ok`; fails the test with the last `Err` once the time is over.
#[track_caller]
pub fn eventually<T>(
    what: impl Into<String>,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let (caller, what) = (Location::caller(), what.into());
    async move {
        let deadline = Instant::now() + within;
        loop {
            match ask().await {
                Ok(value) => return value,
                Err(seen) if Instant::now() >= deadline => {
                    panic!("{caller}: waited {within:?} in vain: {what}\nlast seen: {seen}")
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// Watches that something stays as it is for the whole time; fails the test at the first `Err`.
#[track_caller]
pub fn holds_for(
    what: impl Into<String>,
    time: Duration,
    mut ask: impl AsyncFnMut() -> Result<(), String>,
) -> impl Future<Output = ()> {
    let (caller, what) = (Location::caller(), what.into());
    async move {
        let began = Instant::now();
        while began.elapsed() < time {
            if let Err(seen) = ask().await {
                panic!("{caller}: not any more after {:?}: {what}\nseen: {seen}", began.elapsed());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
