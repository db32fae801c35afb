//! What is set for tenants, as the published view has it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use etl_shared::api::{QueueList, Role, SettingsDocument, SettingsList};
use hyper::{Method, header};

use super::{
    fleet::{synthetic, tenant},
    server::Server,
};
use crate::runtime::{
    FleetView,
    overrides::{Override, Overrides, TenantOverrides},
};

const CONFIG: &str = "/api/v1/admin/workers/config";

/// Three tenants; the second has settings.
fn view() -> FleetView {
    let set = Override {
        workers: Some(3),
        paused_until: Some(SystemTime::now() + Duration::from_hours(1)),
        ..Override::default()
    };
    let queues = BTreeMap::from([("transform".parse().unwrap(), set)]);
    let set = TenantOverrides { queues, revision: 17, updated_at: SystemTime::now(), updated_by: "uid 0".to_owned() };
    FleetView { overrides: Arc::new(Overrides(BTreeMap::from([(tenant(2), set)]))), ..synthetic(3) }
}

#[tokio::test]
async fn what_is_set_and_what_holds_are_both_shown_with_their_revision() {
    let server = Server::start(view());
    let viewer = server.token(Role::Viewer, Some(2)).await.token;
    let answer = server.remote(Some(&viewer), Method::GET, CONFIG, "").await;
    assert_eq!(answer.headers[header::ETAG], "\"17\"");
    let document: SettingsDocument = answer.json();
    let (set, holds) = (&document.queues[&"transform".parse().unwrap()], &document.effective);
    let holds = &holds[&"transform".parse().unwrap()];
    assert_eq!((set.workers, set.workers_max, set.memory_soft_bytes), (Some(3), None, None));
    assert_eq!((holds.workers, holds.workers_max, holds.paused), (3, 8, true));
    assert_eq!((document.revision, document.updated_by.as_deref()), (17, Some("uid 0")));

    let never = server.local(Method::GET, &format!("{CONFIG}?tenant_id=1"), "").await;
    assert_eq!(never.headers[header::ETAG], "\"0\"");
    let never: SettingsDocument = never.json();
    assert!(never.queues.is_empty() && never.updated_at.is_none() && never.effective.len() == 1, "{never:?}");

    let all = server.local(Method::GET, CONFIG, "").await;
    assert!(!all.headers.contains_key(header::ETAG), "it would be the tag of no tenant's settings: {all:?}");
    let all: SettingsList = all.json();
    assert_eq!(all.tenants, [document], "an admin gets everybody for whom something is set");
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_before_anything_is_asked() {
    let server = Server::start(view());
    for (method, path, body, code) in [
        (Method::GET, "/api/v1/admin/workers/config?tenant=1", "", "invalid_parameter"),
        (Method::PUT, CONFIG, r#"{"tenant_id":1,"queues":{"transform":{"worker":1}}}"#, "unknown_field"),
        (Method::PUT, CONFIG, r#"{"tenant_id":1,"queues":{"transform":{"workers":-1}}}"#, "invalid_field"),
        (Method::PUT, CONFIG, r#"{"tenant_id":1,"queues":{"no queue":{}}}"#, "invalid_field"),
        (Method::GET, "/api/v1/admin/queues/status?limit=0", "", "invalid_parameter"),
        (Method::GET, "/api/v1/admin/queues/status?limit=1001", "", "invalid_parameter"),
        (
            Method::POST,
            "/api/v1/admin/jobs",
            r#"{"tenant_id":1,"integration_id":1,"type":"github_prs"}"#,
            "invalid_field",
        ),
    ] {
        let answer = server.local(method, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, code), "{path} {body}");
    }
}

#[tokio::test]
async fn queues_are_paged_in_the_order_of_their_tenants() {
    let server = Server::start(synthetic(3));
    let path = "/api/v1/admin/queues/status?limit=2";
    let first: QueueList = server.local(Method::GET, path, "").await.json();
    assert_eq!((first.queues.len(), first.next_cursor), (2, Some(tenant(2))));
    assert_eq!(first.queues[0].messages_unacknowledged, None, "nobody has told");
    let second: QueueList = server.local(Method::GET, &format!("{path}&cursor=2"), "").await.json();
    assert_eq!((second.queues.len(), second.next_cursor), (1, None));
    assert_eq!(second.queues[0].name, "transform_queue_tenant_3");
}
