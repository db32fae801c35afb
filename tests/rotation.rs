//! Tenants with accounts of their own: secrets are rotated, taken away and set up again while workers work.

#[path = "rotation/failing.rs"]
mod failing;
#[path = "rotation/revoking.rs"]
mod revoking;
#[path = "rotation/rotating.rs"]
mod rotating;
#[path = "rotation/scene.rs"]
mod scene;
