//! An event in the one form that everybody is given: written once, however many listen.

use std::{fmt::Write, ops::Range};

use etl_shared::{TenantId, api::FleetEvent};
use hyper::body::Bytes;

/// One event as streams send it and the database takes it.
#[derive(Debug, Clone)]
pub struct Entry {
    id: u64,
    tenant: Option<TenantId>,
    frame: Bytes,
    json: Range<usize>,
}

impl Entry {
    /// Writes an event down.
    pub fn of(event: &FleetEvent) -> Self {
        let mut frame = String::with_capacity(384);
        // Writing into memory cannot fail, and these types always have a JSON form, which has no line breaks in it.
        let _ = write!(frame, "event: fleet\nid: {}\ndata: ", event.id);
        let start = frame.len();
        frame.push_str(&serde_json::to_string(event).unwrap_or_default());
        let json = start..frame.len();
        frame.push_str("\n\n");
        Self { id: event.id, tenant: event.tenant_id, frame: frame.into_boxed_str().into_boxed_bytes().into(), json }
    }

    /// The event's number.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Whose it is.
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// As a message of server-sent events.
    pub fn frame(&self) -> &Bytes {
        &self.frame
    }

    /// As JSON.
    pub fn json(&self) -> &[u8] {
        &self.frame[self.json.clone()]
    }

    /// As it was. `None` never happens: what is read is what [`Self::of`] has written.
    pub fn event(&self) -> Option<FleetEvent> {
        serde_json::from_slice(self.json()).ok()
    }
}

#[cfg(test)]
mod tests {
    use etl_shared::api::EventKind;

    use super::*;

    #[test]
    fn an_event_comes_back_from_its_message_and_is_one_line_of_it() {
        let event = FleetEvent {
            id: 17,
            at: "2026-01-31T12:00:00.000Z".to_owned(),
            kind: EventKind::Order,
            tenant_id: TenantId::try_from(7).ok(),
            worker: None,
            incarnation: None,
            from: None,
            to: None,
            verdict: None,
            reason: "two\nlines".to_owned(),
            by: Some("uid 0".to_owned()),
            correlation_id: None,
        };
        let entry = Entry::of(&event);
        let text = std::str::from_utf8(entry.frame()).unwrap();
        assert!(text.starts_with("event: fleet\nid: 17\ndata: {") && text.ends_with("}\n\n"), "{text}");
        assert_eq!(text.trim_end().lines().count(), 3, "{text}");
        assert_eq!(entry.event(), Some(event));
    }
}
