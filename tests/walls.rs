//! From inside a worker's identity: every way to somebody else that we could think of, and how it is refused. What is found
//! here stands in `docs/security.md`. And that no secret lies about.

#[path = "walls/machine.rs"]
mod machine;
#[path = "walls/secrets.rs"]
mod secrets;
