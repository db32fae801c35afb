//! What becomes of a message: the real worker on a real broker and a real database.

#[path = "messages/acknowledged.rs"]
mod acknowledged;
#[path = "messages/by_hand.rs"]
mod by_hand;
#[path = "messages/dependencies.rs"]
mod dependencies;
#[path = "messages/given_up.rs"]
mod given_up;
#[path = "messages/payloads.rs"]
mod payloads;
#[path = "messages/queues.rs"]
mod queues;
#[path = "messages/signals.rs"]
mod signals;
#[path = "messages/slow.rs"]
mod slow;
