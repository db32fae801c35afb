//! Raw rows whose message is missing.
