//! Supervision alone: scripted workers for tenants named in the configuration, neither broker nor database.

#[path = "supervision/adoption.rs"]
mod adoption;
#[path = "supervision/api.rs"]
mod api;
#[path = "supervision/command_line.rs"]
mod command_line;
#[path = "supervision/configuration.rs"]
mod configuration;
#[path = "supervision/failures.rs"]
mod failures;
#[path = "supervision/orders.rs"]
mod orders;
#[path = "supervision/signals.rs"]
mod signals;
#[path = "supervision/spawning.rs"]
mod spawning;
