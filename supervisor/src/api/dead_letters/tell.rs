//! Puts a letter into the words of the API.

use base64::{Engine, engine::general_purpose::STANDARD};
use etl_shared::{
    TenantId,
    api::{DeadLetter, DeadLetterDetail, LetterState},
};
use serde_json::{Map, Value};

use crate::{
    clock::rfc3339,
    store::letters::{Contents, Letter},
};

pub(super) fn letter(letter: Letter) -> DeadLetter {
    let (state, settled_at) = match (letter.replayed_at, letter.discarded_at) {
        (Some(at), _) => (LetterState::Replayed, Some(at)),
        (None, Some(at)) => (LetterState::Discarded, Some(at)),
        (None, None) => (LetterState::Open, None),
    };
    DeadLetter {
        id: letter.id,
        // A message may name a tenant that cannot exist.
        tenant_id: letter.tenant_id.and_then(|id| TenantId::try_from(id).ok()),
        queue: letter.queue,
        reason: letter.reason,
        detail: letter.detail,
        attempts: letter.attempts,
        kind: letter.kind,
        raw_data_id: letter.raw_data_id,
        body_bytes: letter.body_bytes,
        created_at: rfc3339(letter.created_at),
        state,
        settled_at: settled_at.map(rfc3339),
    }
}

pub(super) fn whole(shown: Letter, contents: Contents) -> DeadLetterDetail {
    let (body_encoding, body) = match String::from_utf8(contents.body) {
        Ok(text) => ("text", text),
        Err(error) => ("base64", STANDARD.encode(error.as_bytes())),
    };
    let headers = match contents.headers {
        Value::Object(headers) => headers,
        _ => Map::new(),
    };
    let body_encoding = body_encoding.to_owned();
    DeadLetterDetail { letter: letter(shown), headers, exit_report: contents.exit_report, body_encoding, body }
}
