//! The environment variables through which a supervisor tells its worker what to use.
//!
//! A worker is started with a clean environment; beside these it has `PATH`, `HOME`, `LANG`, `NOTIFY_SOCKET` (readiness, as
//! in `sd_notify(3)`) and what the command template adds.

/// The number of an inherited descriptor: a sealed memory file with the worker's credentials as JSON.
pub const CREDENTIALS_FD: &str = "ETL_CREDENTIALS_FD";
/// The number of an inherited descriptor: the worker's flight record, open for writing.
pub const FLIGHT_FD: &str = "ETL_FLIGHT_FD";
/// Path of the socket to which a worker tells its part of recorded traces; nobody listens there unless traces are exported.
pub const SPANS_SOCKET: &str = "ETL_SPANS_SOCKET";
/// The worker's name, such as `transform-7-1`, for log lines.
pub const WORKER: &str = "ETL_WORKER";
/// Which of the slot's processes this is, counted from 1 over the life of the runtime directory.
pub const INCARNATION: &str = "ETL_INCARNATION";
