//! Exit codes of a worker, after `sysexits.h`.

/// Finished what was in flight and left as asked.
pub const DRAINED: u8 = 0;
/// The arguments on the command line are wrong.
pub const USAGE: u8 = 64;
/// A run by hand was given data that cannot be used.
pub const DATA: u8 = 65;
/// A dependency (broker, database, schema) is not usable; starting again at once would not help.
pub const UNAVAILABLE: u8 = 69;
/// An error inside the program.
pub const INTERNAL: u8 = 70;
/// A passing trouble: try again later.
pub const TRY_LATER: u8 = 75;
/// Broker or database refuse the login: the credentials are wrong, or not in force any longer.
pub const REFUSED: u8 = 77;
/// The configuration is wrong; starting again never helps until somebody has changed it.
pub const CONFIGURATION: u8 = 78;
