//! Tenants' own accounts at a real broker and in a real database: made, repaired, replaced, taken away; and what they are good for.

#[path = "accounts/attempts.rs"]
mod attempts;
#[path = "accounts/attempts_at_the_broker.rs"]
mod attempts_at_the_broker;
#[path = "accounts/daily.rs"]
mod daily;
#[path = "accounts/life.rs"]
mod life;
#[path = "accounts/outages.rs"]
mod outages;
#[path = "accounts/walls.rs"]
mod walls;
