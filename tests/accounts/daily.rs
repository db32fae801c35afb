//! A supervisor whose daily account owns nothing: it has the rights of the supervisor's role, and no others.

use system_tests::{Supervisor, accounts::Installation, supervisor_setup::quoted};

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
