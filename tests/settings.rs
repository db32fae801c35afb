//! What people set for single tenants, on a real supervisor, worker, broker and database.

#[path = "settings/command_line.rs"]
mod command_line;
#[path = "settings/jobs.rs"]
mod jobs;
#[path = "settings/limits.rs"]
mod limits;
#[path = "settings/pausing.rs"]
mod pausing;
#[path = "settings/queues.rs"]
mod queues;
#[path = "settings/scaling.rs"]
mod scaling;
#[path = "settings/scene.rs"]
mod scene;
