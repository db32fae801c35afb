//! Messages that are under way together: what is held in memory at a time.

use etl_shared::{
    publish::{Outgoing, Publisher, headers},
    trace::Origin,
};
use miette::{IntoDiagnostic, Report, miette};
use tokio::time;

use super::PATIENCE;

/// Messages, and bytes in their bodies.
const ROOM: (usize, usize) = (256, 1024 * 1024);

/// A message with its place in what was given: a row's or a line's number.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) place: i64,
    pub(super) queue: String,
    pub(super) body: Vec<u8>,
}

/// Messages that are published together.
#[derive(Debug)]
pub(super) struct Pack {
    /// Of all that one command publishes.
    origin: Origin,
    messages: Vec<Message>,
    bytes: usize,
}

/// What became of a pack.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) confirmed: usize,
    /// Places of the last messages of the unbroken run from the first that was confirmed; `None`: not even the first was.
    pub(super) unbroken: Option<i64>,
    /// Places of those that were not confirmed, each with why.
    pub(super) failed: Vec<(i64, Report)>,
}

impl Pack {
    /// Empty; what goes into it comes from there.
    pub(super) const fn from(origin: Origin) -> Self {
        Self { origin, messages: Vec::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, message: Message) {
        self.bytes += message.body.len();
        self.messages.push(message);
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= ROOM.0 || self.bytes >= ROOM.1
    }

    /// Forgets all of them; returns how many they were.
    pub(super) fn clear(&mut self) -> usize {
        self.bytes = 0;
        std::mem::take(&mut self.messages).len()
    }

    /// Publishes all of them and is empty afterwards.
    pub(super) async fn send(&mut self, publisher: &Publisher) -> Sent {
        self.bytes = 0;
        let messages = std::mem::take(&mut self.messages);
        let outgoing = messages.iter().map(|message| Outgoing {
            queue: &message.queue,
            body: &message.body,
            headers: headers::with_origin(&self.origin),
        });
        let answers = time::timeout(PATIENCE, publisher.publish_many(outgoing.collect())).await;
        let Ok(answers) = answers else {
            let why = || miette!("the broker has not confirmed for {} seconds", PATIENCE.as_secs());
            let failed = messages.iter().map(|message| (message.place, why())).collect();
            return Sent { confirmed: 0, unbroken: None, failed };
        };
        let mut sent = Sent { confirmed: 0, unbroken: None, failed: Vec::new() };
        for (message, answer) in messages.iter().zip(answers) {
            match answer.into_diagnostic() {
                Ok(()) => {
                    sent.confirmed += 1;
                    if sent.failed.is_empty() {
                        sent.unbroken = Some(message.place);
                    }
                }
                Err(why) => sent.failed.push((message.place, why)),
            }
        }
        sent
    }
}
