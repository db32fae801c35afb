//! Takes a stream of server-sent events apart, as far as the supervisor's streams need it: every field is one line.

/// The bytes that have come and are no whole message yet.
#[derive(Debug, Default)]
pub(super) struct Messages(Vec<u8>);

/// One message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: Option<u64>,
    pub(super) kind: String,
    pub(super) data: String,
}

impl Messages {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The next message that has come in whole.
    pub(super) fn next(&mut self) -> Option<Message> {
        let end = self.0.windows(2).position(|two| two == b"\n\n")?;
        let bytes: Vec<u8> = self.0.drain(..end + 2).collect();
        let mut message = Message::default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            match line.split_once(": ") {
                Some(("id", id)) => message.id = id.parse().ok(),
                Some(("event", kind)) => kind.clone_into(&mut message.kind),
                Some(("data", data)) => data.clone_into(&mut message.data),
                _ => {}
            }
        }
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_they_came_in() {
        let text = "retry: 2000\nid: 4\n\n: beat\n\nevent: fleet\nid: 5\ndata: {\"a\": \"ä: b\"}\n\nevent: fl";
        for length in [1, 2, 7, 1000] {
            let mut messages = Messages::default();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(length) {
                messages.add(piece);
                seen.extend(std::iter::from_fn(|| messages.next()));
            }
            let event = Message { id: Some(5), kind: "fleet".to_owned(), data: "{\"a\": \"ä: b\"}".to_owned() };
            assert_eq!(seen, [Message { id: Some(4), ..Message::default() }, Message::default(), event], "{length}");
        }
    }
}
