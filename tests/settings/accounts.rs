//! Tenants with accounts of their own: what they may have at the database follows the number of their workers.

use serde_json::json;
use system_tests::{SOON, Supervisor, accounts::Installation, eventually};

use super::scene::{running, set};

#[tokio::test]
async fn a_tenant_with_more_workers_may_have_more_connections() {
    let installation = Installation::new().await;
    for tenant in [1, 2] {
        installation.platform.add_tenant(tenant).await;
    }
    let supervisor = Supervisor::start(&installation.setup.clone().set("database", "refresh", "\"1h\"")).await;
    supervisor.until_running(&[1, 2]).await;
    assert_eq!(limits(&installation).await, [4, 4]);

    set(&supervisor, 1, json!({"workers": 6})).await;
    supervisor.until("six workers run", |status| running(status, 1) == 6).await;
    until_limits(&installation, [14, 4]).await;
    set(&supervisor, 1, json!({"workers": null})).await;
    supervisor.until("one worker runs", |status| running(status, 1) == 1).await;
    until_limits(&installation, [4, 4]).await;
}

/// Connections that the roles of tenants 1 and 2 may have.
async fn limits(installation: &Installation) -> Vec<i32> {
    let names = [installation.name(1, 1), installation.name(2, 1)];
    let select = "SELECT rolconnlimit FROM pg_roles WHERE rolname = ANY($1) ORDER BY rolname";
    let rows = installation.platform.database.client().query(select, &[&names.as_slice()]).await.expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}

async fn until_limits(installation: &Installation, expected: [i32; 2]) {
    eventually(format!("the limits are {expected:?}"), SOON, async || {
        let found = limits(installation).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}
