//! Rotations that do not succeed: the old secrets stay in force, and so does whoever works with them.

use system_tests::{database::connect, fleet, stack::Endpoints};

use super::scene::{Gate, Scene, deciding};

#[tokio::test]
async fn where_the_new_worker_fails_the_old_one_goes_on_and_the_reason_is_told() {
    let failing = |setup: system_tests::Setup| deciding(setup, "[ \"$1\" = 1 ] || exit 3");
    let scene = Scene::with_setup(&[7], failing).await;
    let pid = fleet::pid(&scene.supervisor.status().await.unwrap(), 7);
    let printed = scene.try_rotate("7").await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.stdout.contains("NOT rotated") && printed.stdout.contains("EXIT(3)"), "{printed:?}");
    scene.alone(7).await;
    assert_eq!(fleet::pid(&scene.supervisor.status().await.unwrap(), 7), pid);
    scene.is_refused(7, 2).await;
    scene.is_let_in(7, 1).await;
    scene.works(7).await;
    let last = scene.stands(7, "ready", 1).await.last_rotation.expect("it was told");
    assert!(!last.ok && last.detail.is_some(), "{last:?}");
}

#[tokio::test]
async fn where_the_next_account_is_somebody_elses_nothing_is_changed() {
    let scene = Scene::with(&[7]).await;
    let name = scene.installation.name(7, 2);
    let admin = connect(&Endpoints::shared().admin_database).await.unwrap();
    admin.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
    let printed = scene.try_rotate("7").await;
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.stdout.contains(&name), "{printed:?}");
    scene.works(7).await;
    // Out of the way, it goes.
    admin.batch_execute(&format!("DROP ROLE {name}")).await.unwrap();
    scene.rotate("7").await;
    scene.works(7).await;
}

#[tokio::test]
async fn a_worker_that_the_database_would_not_let_in_is_not_taken_for_ready() {
    let gate = Gate::new();
    let scene = Scene::with_setup(&[7], |setup| gate.closed_to_stand_ins(setup)).await;
    let pid = fleet::pid(&scene.supervisor.status().await.unwrap(), 7);
    let shut_out = async {
        scene.stands_in().await;
        let admin = connect(&Endpoints::shared().admin_database).await.unwrap();
        admin.batch_execute(&format!("ALTER ROLE {} NOLOGIN", scene.installation.name(7, 2))).await.unwrap();
        gate.open();
    };
    let (printed, ()) = tokio::join!(scene.try_rotate("7"), shut_out);
    assert_eq!(printed.code, 1, "{printed:?}");
    assert!(printed.stdout.contains("DEPENDENCY"), "{printed:?}");
    assert_eq!(fleet::pid(&scene.supervisor.status().await.unwrap(), 7), pid);
    scene.works(7).await;
}
