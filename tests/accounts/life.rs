//! From the first account to the last.

use etl_supervisor::accounts::{AccountNews, AccountOrder};
use lapin::{options::BasicConsumeOptions, types::FieldTable};
use system_tests::{
    SOON,
    accounts::{Installation, tenant},
    eventually,
    platform::queue_of,
};

fn ready(id: i64, generation: u32) -> AccountNews {
    AccountNews::Ready { tenant: tenant(id), generation, next: None }
}

async fn states(installation: &Installation) -> Vec<(i64, i32, String)> {
    let select = "SELECT tenant_id, generation, state FROM worker_accounts ORDER BY 1, 2";
    let rows = installation.platform.database.client().query(select, &[]).await.expect("accounts can be read");
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Everything that an account consists of, with what changes whenever somebody writes it.
async fn everything(installation: &Installation) -> String {
    let prefix = installation.name(1, 1).trim_end_matches('1').to_owned();
    let admin = installation.platform.database.connect_as_admin().await;
    let roles =
        "SELECT coalesce(string_agg(concat_ws(' ', oid, xmin, rolname, rolpassword), '; ' ORDER BY rolname), '')
                 FROM pg_authid WHERE starts_with(rolname, $1)";
    let roles: String = admin.query_one(roles, &[&prefix]).await.expect("roles can be read").get(0);
    let records = "SELECT coalesce(string_agg(concat_ws(' ', xmin, a), '; '), '') FROM worker_accounts AS a";
    let records: String = admin.query_one(records, &[]).await.expect("records can be read").get(0);
    let mut users = installation.management().users().await.expect("users");
    users.retain(|name, _| name.starts_with(&prefix));
    format!("{roles}\n{records}\n{users:?}")
}

#[tokio::test]
async fn tenants_get_accounts_that_work_and_a_second_look_changes_nothing() {
    let installation = Installation::new().await;
    let ids: Vec<i64> = (1..=12).collect();
    let task = installation.start();
    task.want(ids.clone());
    task.ready(&ids, 1, SOON).await;
    for id in [1, 12] {
        let client = installation.database(id, 1).await.expect("a login to the database");
        let own: Option<i64> = client.query_one("SELECT etl_tenant()", &[]).await.expect("an answer").get(0);
        assert_eq!(own, Some(id));
        installation.broker(id, 1).await.expect("a login to the broker");
    }
    drop(task);
    let before = everything(&installation).await;
    let task = installation.start();
    task.want(ids.clone());
    task.ready(&ids, 1, SOON).await;
    // One more, so that the look at the others is over.
    task.want(1..=13);
    task.ready(&[13], 1, SOON).await;
    drop(task);
    let after = everything(&installation).await;
    let kept = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
    assert!(kept(&after)[0] > kept(&before)[0], "the thirteenth is there");
    for part in before.lines().next().unwrap_or_default().split("; ") {
        assert!(after.contains(part), "changed: {part}");
    }
}

#[tokio::test]
async fn an_account_that_somebody_has_changed_is_put_right() {
    let installation = Installation::new().await;
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    let name = installation.name(1, 1);
    let admin = installation.platform.database.connect_as_admin().await;
    admin
        .batch_execute(&format!("ALTER ROLE {name} NOLOGIN PASSWORD 'other'; GRANT pg_read_all_data TO {name}"))
        .await
        .expect("a role can be changed");
    installation.management().delete_user(&name).await.expect("a user can be deleted");
    assert!(installation.database(1, 1).await.is_err() && installation.broker(1, 1).await.is_err());
    task.order(AccountOrder::Repair { tenant: tenant(1) });
    task.says(ready(1, 1), SOON).await;
    let client = installation.database(1, 1).await.expect("a login to the database");
    let member = "SELECT pg_has_role(session_user, 'pg_read_all_data', 'MEMBER')";
    assert!(!client.query_one(member, &[]).await.expect("an answer").get::<_, bool>(0));
    installation.broker(1, 1).await.expect("a login to the broker");
}

#[tokio::test]
async fn a_rotation_keeps_the_old_accounts_until_the_new_ones_are_adopted() {
    let installation = Installation::new().await;
    let task = installation.start();
    task.want([1, 2]);
    task.ready(&[1, 2], 1, SOON).await;
    task.order(AccountOrder::Prepare { tenant: tenant(1) });
    task.says(AccountNews::Prepared { tenant: tenant(1), outcome: Ok(2) }, SOON).await;
    let old = installation.database(1, 1).await.expect("the old account works");
    installation.database(1, 2).await.expect("the new account works");
    let (old_broker, _new) = tokio::join!(async { installation.broker(1, 1).await.expect("old") }, async {
        installation.broker(1, 2).await.expect("new")
    });
    task.order(AccountOrder::Adopt { tenant: tenant(1), generation: 2 });
    task.says(AccountNews::Settled { tenant: tenant(1), outcome: Ok(2) }, SOON).await;
    assert!(old.query_one("SELECT 1", &[]).await.is_err(), "the old session was ended");
    eventually("the old connection was closed", SOON, async || {
        if old_broker.status().connected() { Err("still connected".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(installation.database(1, 1).await.is_err() && installation.broker(1, 1).await.is_err());
    installation.database(1, 2).await.expect("the new account works");
    let expected = [(1, 2, "current"), (2, 1, "current")].map(|(id, n, state)| (id, n, state.to_owned()));
    assert_eq!(states(&installation).await, expected);
}

#[tokio::test]
async fn a_rotation_that_is_given_up_leaves_the_current_accounts_and_its_secret_is_never_used_again() {
    let installation = Installation::new().await;
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    for generation in [2, 3] {
        task.order(AccountOrder::Prepare { tenant: tenant(1) });
        task.says(AccountNews::Prepared { tenant: tenant(1), outcome: Ok(generation) }, SOON).await;
        task.order(AccountOrder::Discard { tenant: tenant(1), generation });
        task.says(AccountNews::Settled { tenant: tenant(1), outcome: Ok(1) }, SOON).await;
        assert!(installation.database(1, generation).await.is_err());
    }
    installation.database(1, 1).await.expect("the current account works");
    task.order(AccountOrder::Adopt { tenant: tenant(1), generation: 9 });
    eventually("the order that makes no sense is answered", SOON, async || {
        let refused = |word: &AccountNews| matches!(word, AccountNews::Settled { outcome: Err(_), .. });
        if task.news().iter().any(refused) { Ok(()) } else { Err(format!("{:?}", task.news())) }
    })
    .await;
    installation.database(1, 1).await.expect("the current account works");
}

#[tokio::test]
async fn a_tenant_that_leaves_loses_its_connections_and_comes_back_with_another_secret() {
    let installation = Installation::new().await;
    installation.platform.add_tenant(1).await;
    installation.platform.broker.declare(&queue_of(1)).await;
    let task = installation.start();
    task.want([1, 2]);
    task.ready(&[1, 2], 1, SOON).await;
    let session = installation.database(1, 1).await.expect("a login");
    // It owns something, and is in the middle of a transaction.
    session.batch_execute("SELECT lo_create(0); CREATE TEMP TABLE t (x int); BEGIN").await.expect("statements");
    let connection = installation.broker(1, 1).await.expect("a login");
    let channel = connection.create_channel().await.expect("a channel");
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    channel.basic_consume(queue_of(1).into(), "c".into(), options, none).await.expect("its own queue");
    task.want([2]);
    task.says(AccountNews::Revoked { tenant: tenant(1) }, SOON).await;
    assert!(session.query_one("SELECT 1", &[]).await.is_err(), "its session was ended");
    eventually("its connection was closed", SOON, async || {
        if connection.status().connected() { Err("still connected".to_owned()) } else { Ok(()) }
    })
    .await;
    assert!(installation.database(1, 1).await.is_err() && installation.broker(1, 1).await.is_err());
    let admin = installation.platform.database.connect_as_admin().await;
    let role = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
    assert_eq!(admin.query_one(role, &[&installation.name(1, 1)]).await.expect("a count").get::<_, i64>(0), 0);
    installation.database(2, 1).await.expect("the other tenant's account works");
    task.want([1, 2]);
    task.says(ready(1, 2), SOON).await;
    assert!(installation.database(1, 1).await.is_err(), "what was stolen before is of no use now");
    installation.database(1, 2).await.expect("a login");
}

#[tokio::test]
async fn what_was_begun_is_finished_by_the_next_supervisor() {
    let installation = Installation::new().await;
    let task = installation.start();
    task.want([1, 2, 3]);
    task.ready(&[1, 2, 3], 1, SOON).await;
    for id in [1, 2] {
        task.order(AccountOrder::Prepare { tenant: tenant(id) });
        task.says(AccountNews::Prepared { tenant: tenant(id), outcome: Ok(2) }, SOON).await;
    }
    drop(task);
    // The record of an adoption, and nothing of its consequences.
    installation
        .platform
        .database
        .client()
        .batch_execute(
            "UPDATE worker_accounts SET state = 'leaving' WHERE tenant_id = 1 AND generation = 1;
             UPDATE worker_accounts SET state = 'current' WHERE tenant_id = 1 AND generation = 2;
             UPDATE worker_accounts SET state = 'leaving' WHERE tenant_id = 3",
        )
        .await
        .expect("records can be changed");
    let session = installation.database(1, 1).await.expect("nothing has happened to the account yet");
    let task = installation.start();
    let prepared = AccountNews::Ready { tenant: tenant(2), generation: 1, next: Some(2) };
    task.says(prepared, SOON).await;
    eventually("what leaves has left, though nobody has said which tenants there are", SOON, async || {
        let found = states(&installation).await;
        let expected = [(1, 2, "current"), (2, 1, "current"), (2, 2, "next"), (3, 1, "retired")]
            .map(|(t, g, s)| (t, g, s.to_owned()));
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert!(session.query_one("SELECT 1", &[]).await.is_err());
}

#[tokio::test]
async fn an_account_of_somebody_else_is_neither_used_nor_touched() {
    let installation = Installation::new().await;
    let (role, user) = (installation.name(1, 1), installation.name(2, 1));
    let admin = installation.platform.database.connect_as_admin().await;
    admin.batch_execute(&format!("CREATE ROLE {role} LOGIN")).await.expect("a role");
    let foreign = etl_supervisor::broker::User {
        password_hash: "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".to_owned(),
        hashing_algorithm: "rabbit_password_hashing_sha256".to_owned(),
        tags: String::new(),
    };
    installation.management().put_user(&user, &foreign).await.expect("a user");
    let task = installation.start();
    task.want([1, 2, 3]);
    task.ready(&[3], 1, SOON).await;
    for id in [1, 2] {
        eventually("the tenant's accounts are refused", SOON, async || {
            let refused = |word: &AccountNews| match word {
                AccountNews::Missing { tenant: whose, why } => {
                    *whose == tenant(id) && why.contains("credentials.prefix")
                }
                _ => false,
            };
            // The first look may have come before the word was forgotten.
            let select = "SELECT count(*) FROM worker_accounts WHERE tenant_id = $1";
            let row = installation.platform.database.client().query_one(select, &[&id]).await;
            let recorded: i64 = row.map_err(|error| error.to_string())?.get(0);
            if recorded > 0 {
                return Err(format!("{recorded} accounts are recorded"));
            }
            task.order(AccountOrder::Repair { tenant: tenant(id) });
            if task.news().iter().any(refused) { Ok(()) } else { Err(format!("{:?}", task.news())) }
        })
        .await;
    }
    task.want([3, 4]);
    task.ready(&[4], 1, SOON).await;
    drop(task);
    assert_eq!(installation.management().user(&user).await.expect("an answer"), Some(foreign));
    let kept = "SELECT count(*) FROM pg_roles WHERE rolname = $1 AND rolcanlogin";
    assert_eq!(admin.query_one(kept, &[&role]).await.expect("a count").get::<_, i64>(0), 1);
}

/// The record has come with a copy of another installation's database, whose accounts these are.
#[tokio::test]
async fn a_copy_of_the_database_neither_uses_nor_touches_the_accounts_of_the_original() {
    let (installation, task) = Installation::with_tenants(&[1]).await;
    drop(task);
    let owner = installation.platform.database.client();
    let elsewhere = "UPDATE worker_accounts SET home = replace(home, '/', '0/')";
    assert_eq!(owner.execute(elsewhere, &[]).await.expect("a record can be changed"), 1);
    let before = everything(&installation).await;
    let task = installation.start();
    task.want([2]);
    eventually("the reason is said", SOON, async || {
        let news = task.news();
        let refused = |word: &AccountNews| match word {
            AccountNews::Missing { why, .. } => why.contains("made by another database"),
            _ => false,
        };
        if news.iter().any(refused) { Ok(()) } else { Err(format!("{news:?}")) }
    })
    .await;
    assert_eq!(everything(&installation).await, before);
    installation.database(1, 1).await.expect("the original's account works");
    owner.execute("UPDATE worker_accounts SET home = NULL", &[]).await.expect("it was moved, not copied");
    task.says(AccountNews::Revoked { tenant: tenant(1) }, SOON).await;
}

#[tokio::test]
async fn two_tasks_at_once_end_with_one_account_each() {
    let installation = Installation::new().await;
    let ids: Vec<i64> = (1..=20).collect();
    let (one, other) = (installation.start(), installation.start());
    one.want(ids.clone());
    other.want(ids.clone());
    tokio::join!(one.ready(&ids, 1, SOON), other.ready(&ids, 1, SOON));
    let expected: Vec<_> = ids.iter().map(|id| (*id, 1, "current".to_owned())).collect();
    assert_eq!(states(&installation).await, expected);
    for id in [1, 20] {
        installation.database(id, 1).await.expect("a login to the database");
        installation.broker(id, 1).await.expect("a login to the broker");
    }
}
