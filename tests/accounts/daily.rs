//! A whole supervisor: with a daily account that owns nothing, and with a list of tenants that may be too old.

use std::time::Duration;

use system_tests::{
    SOON, Supervisor, accounts::Installation, eventually, supervisor_setup::quoted, waiting::holds_for,
};

#[tokio::test]
async fn a_daily_account_that_owns_nothing_is_enough_and_the_administrator_changes_the_schema() {
    let (installation, task) = Installation::with_tenants(&[1]).await;
    drop(task);
    let platform = &installation.platform;
    let role = installation.supervisor_role();
    let superuser = platform.database.connect_as_admin().await;
    superuser
        .batch_execute(&format!("CREATE ROLE {role}_daily LOGIN PASSWORD 'daily' IN ROLE {role}"))
        .await
        .expect("an account for daily work");
    let (_, rest) = platform.database.url().split_once('@').expect("a URL with a user");
    let own = format!("postgres://{role}_daily:daily@{rest}");
    let setup = installation.setup.clone().set("database", "url", &quoted(&own));
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    platform.add_tenant(2).await;
    supervisor.until_running(&[1, 2]).await;
    let said = supervisor.cli_ok(&["migrate"]).await;
    assert!(said.contains("up to date"), "{said}");
}

/// A list that was kept from the last life may lack tenants that have come since.
#[tokio::test]
async fn the_last_known_list_takes_nobodys_accounts_away() {
    let installation = Installation::new().await;
    installation.platform.add_tenant(1).await;
    let setup = installation.setup.clone();
    let mut supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    supervisor.kill_brain();
    // Meanwhile another supervisor has seen more tenants.
    let other = installation.start();
    other.want([1, 2]);
    other.ready(&[1, 2], 1, SOON).await;
    drop(other);
    supervisor.configure(&setup.set("database", "tenants_query", "\"SELECT id FROM tenants WHERE false\""));
    supervisor.start_brain().await;
    eventually("the last known tenants serve", SOON, async || match supervisor.log() {
        log if log.contains("using the last known tenants") => Ok(()),
        log => Err(log),
    })
    .await;
    holds_for("nobody's accounts are taken away", Duration::from_secs(2), async || {
        installation.database(2, 1).await.map(drop)
    })
    .await;
    supervisor.cli_ok(&["tenants", "confirm"]).await;
    eventually("who is on no list that was read loses them", SOON, async || match installation.database(2, 1).await {
        Ok(_) => Err("still there".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
}
