//! What an admin and an operator may ask for.

use std::time::Duration;

use axum::response::IntoResponse;

use super::*;
use crate::api::authorize::Grant;

const MIB: u64 = 1024 * 1024;

fn now() -> SystemTime {
    humantime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap()
}

fn operator() -> Caller {
    Caller::Token { id: "o".to_owned(), grant: Grant::Operator(7.try_into().unwrap()) }
}

fn rules() -> Rules {
    let rules = QueueRules { workers: 1, workers_max: 8, memory_soft: 64 * MIB, memory_max: 128 * MIB };
    Rules::from([("transform".parse().unwrap(), rules)])
}

fn before() -> TenantOverrides {
    let set = Override {
        workers: Some(20),
        workers_max: Some(10),
        memory_soft: Some(500 * MIB),
        paused_until: Some(now() - Duration::from_mins(1)),
    };
    let old = Override { workers: Some(1), ..Override::default() };
    let queues = BTreeMap::from([("transform".parse().unwrap(), set), ("gone".parse().unwrap(), old)]);
    TenantOverrides { queues, revision: 5, ..TenantOverrides::default() }
}

/// Asks for this, written in JSON; the status of the refusal, or the change in words.
fn ask(caller: &Caller, before: &TenantOverrides, wanted: &str) -> Result<String, String> {
    let wanted = serde_json::from_str(wanted).unwrap();
    match checked(&wanted, &rules(), before, caller, now()) {
        Ok(queues) => Ok(in_words(before, &queues)),
        Err(refusal) => {
            let said = format!("{refusal:?}");
            Err(format!("{} {said}", refusal.into_response().status().as_u16()))
        }
    }
}

#[test]
fn everybody_may_ask_for_what_is_within_the_limits() {
    let nothing = TenantOverrides::default();
    for caller in [operator(), Caller::Machine { uid: 0 }] {
        let wanted =
            r#"{"transform":{"workers":8,"memory_soft_bytes":67108864,"paused_until":"2026-01-31T13:00:00Z"}}"#;
        assert_eq!(
            ask(&caller, &nothing, wanted).unwrap(),
            "transform: workers as configured → 8; transform: memory_soft as configured → 64.0 MiB; \
             transform: paused until 2026-01-31T13:00:00.000Z"
        );
        assert_eq!(
            ask(&caller, &nothing, r#"{"transform":{"workers":0}}"#).unwrap(),
            "transform: workers as configured → 0"
        );
        assert_eq!(ask(&caller, &nothing, "{}").unwrap(), "");
    }
}

#[test]
fn what_is_set_already_may_be_sent_back_whatever_the_limits_say() {
    let same = r#"{"transform":{"workers":20,"workers_max":10,"memory_soft_bytes":524288000,
        "paused_until":"2026-01-31T11:59:00.000Z"},"gone":{"workers":1}}"#;
    assert_eq!(ask(&operator(), &before(), same).unwrap(), "");
    let fewer = same.replace(r#""workers":20"#, r#""workers":10"#);
    assert_eq!(ask(&operator(), &before(), &fewer).unwrap(), "transform: workers 20 → 10");
}

#[test]
fn an_operator_is_told_the_limit_and_an_admin_may_go_beyond() {
    let nothing = TenantOverrides::default();
    let nine = r#"{"transform":{"workers":9}}"#;
    let said = ask(&operator(), &nothing, nine).unwrap_err();
    assert!(said.starts_with("409") && said.contains("workers_over_limit") && said.contains("at most 8"), "{said}");
    ask(&Caller::Machine { uid: 0 }, &nothing, nine).unwrap();
    let raise = r#"{"transform":{"workers_max":12}}"#;
    let said = ask(&operator(), &nothing, raise).unwrap_err();
    assert!(said.starts_with("403") && said.contains("role_too_low"), "{said}");
    ask(&Caller::Machine { uid: 0 }, &nothing, raise).unwrap();
    let said = ask(&Caller::Machine { uid: 0 }, &nothing, r#"{"transform":{"workers":65}}"#).unwrap_err();
    assert!(said.contains("workers_over_limit") && said.contains("at most 64"), "{said}");
}

#[test]
fn as_configured_is_a_number_too_and_no_way_around_the_limit() {
    let transform = || "transform".parse().unwrap();
    let set = Override { workers: Some(1), workers_max: Some(1), ..Override::default() };
    let limited = TenantOverrides { queues: BTreeMap::from([(transform(), set)]), ..TenantOverrides::default() };
    let configured = |workers| {
        let mut rules = rules();
        rules.get_mut(&transform()).unwrap().workers = workers;
        rules
    };
    let wanted = serde_json::from_str(r#"{"transform":{"workers":null,"workers_max":1}}"#).unwrap();
    let ask = |caller, configured_workers| checked(&wanted, &configured(configured_workers), &limited, &caller, now());
    let refusal = ask(operator(), 4).unwrap_err();
    assert!(format!("{refusal:?}").contains("workers_over_limit"), "{refusal:?}");
    ask(Caller::Machine { uid: 0 }, 4).unwrap();
    ask(operator(), 1).unwrap();
}

#[test]
fn every_refusal_says_what_to_do() {
    let nothing = TenantOverrides::default();
    for (wanted, status, code, advice) in [
        (r#"{"nothing":{"workers":1}}"#, "400", "unknown_queue_type", "there is transform"),
        (r#"{"gone":{"workers":2}}"#, "400", "unknown_queue_type", "there is transform"),
        (r#"{"transform":{"memory_soft_bytes":134217729}}"#, "409", "memory_over_limit", "134217728 (128.0 MiB)"),
        (r#"{"transform":{"memory_soft_bytes":1}}"#, "400", "memory_too_small", "at least 8388608"),
        (r#"{"transform":{"paused_until":"tomorrow"}}"#, "400", "not_a_time", "2026-01-31T12:00:00Z"),
        (r#"{"transform":{"paused_until":"2026-01-31T12:00:00Z"}}"#, "400", "in_the_past", "null resumes"),
    ] {
        let said = ask(&Caller::Machine { uid: 0 }, &nothing, wanted).unwrap_err();
        assert!(said.starts_with(status) && said.contains(code) && said.contains(advice), "{wanted}: {said}");
    }
}
