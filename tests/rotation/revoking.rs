//! Accounts that are taken away: on purpose, and by hand.

use etl_supervisor::broker::Permissions;
use system_tests::{SOON, Supervisor, accounts::Installation, eventually, fleet};

use super::scene::Scene;

#[tokio::test]
async fn a_tenant_that_is_deactivated_is_shut_out_and_comes_back() {
    let scene = Scene::with(&[1, 2, 7]).await;
    let platform = &scene.installation.platform;
    let broker = scene.installation.broker(7, 1).await.expect("the broker lets it in");
    let database = scene.installation.database(7, 1).await.expect("the database lets it in");
    platform.set_active(7, false).await;
    eventually("every connection of the tenant is closed", 2 * SOON, async || {
        match (broker.status().connected(), database.is_closed()) {
            (false, true) => Ok(()),
            open => Err(format!("{open:?}")),
        }
    })
    .await;
    eventually("the tenant is refused", SOON, async || match scene.credentials(7).await {
        Err(_) => Ok(()),
        Ok(account) => Err(format!("{account:?}")),
    })
    .await;
    scene.is_refused(7, 1).await;
    let status = scene.supervisor.status().await.unwrap();
    assert!(!fleet::summary(&status).contains("transform-7-1"), "its worker has gone");
    scene.works(1).await;
    platform.set_active(7, true).await;
    scene.supervisor.until_running(&[7]).await;
    scene.works(7).await;
    scene.is_refused(7, 1).await;
}

#[tokio::test]
async fn a_user_that_somebody_deletes_is_set_up_again_and_the_worker_works_on() {
    let scene = Scene::with(&[7]).await;
    scene.works(7).await;
    let name = scene.installation.name(7, 1);
    scene.installation.management().delete_user(&name).await.expect("a user can be deleted");
    scene
        .supervisor
        .until("its worker has left because of its login", |status| fleet::last_verdict(status, 7) == "DEPENDENCY")
        .await;
    scene.works(7).await;
    scene.alone(7).await;
}

#[tokio::test]
async fn permissions_that_somebody_takes_away_are_given_again_and_the_worker_works_on() {
    let scene = Scene::with(&[7]).await;
    let nothing = Permissions { configure: "^$".to_owned(), write: "^$".to_owned(), read: "^$".to_owned() };
    let name = scene.installation.name(7, 1);
    scene.installation.management().put_permissions(&name, &nothing).await.expect("permissions can be changed");
    scene.supervisor.control("restart", Some(7)).await;
    scene
        .supervisor
        .until("its worker has left because it may not consume", |status| fleet::last_verdict(status, 7) == "EXIT(78)")
        .await;
    scene.works(7).await;
    scene.alone(7).await;
}

#[tokio::test]
async fn accounts_that_another_mode_leaves_in_force_are_named_by_the_doctor() {
    let (installation, task) = Installation::with_tenants(&[7]).await;
    drop(task);
    let setup = installation.setup.clone().set("credentials", "mode", "\"shared\"");
    let supervisor = Supervisor::start(&setup).await;
    let printed = supervisor.cli(&["doctor"]).await;
    assert!(printed.stdout.contains("1 of tenants' own are still in force"), "{printed:?}");
}
