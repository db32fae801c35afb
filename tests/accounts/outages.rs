//! Broker and database that are away while accounts are made and taken away.

use std::time::Duration;

use etl_supervisor::accounts::{AccountNews, AccountOrder};
use system_tests::{
    SOON,
    accounts::{Installation, tenant},
    eventually,
    stack::{OwnStack, Part},
};

/// A start of the broker, and the longest pause between two tries.
const AFTERWARDS: Duration = Duration::from_mins(1);

#[tokio::test]
async fn what_a_broker_interrupts_is_finished_when_it_is_back() {
    let stack = OwnStack::acquire().await;
    let installation = Installation::on(&stack.endpoints).await;
    let ids: Vec<i64> = (1..=60).collect();
    let task = installation.start();
    task.want(ids.clone());
    eventually("some tenants are ready", SOON, async || {
        let ready = task.news().len();
        if ready >= 5 { Ok(()) } else { Err(format!("{ready}")) }
    })
    .await;
    stack.kill(Part::Broker).await;
    // A rotation is answered, not kept waiting; a revocation that is decided now is carried out later.
    task.order(AccountOrder::Prepare { tenant: tenant(1) });
    eventually("the rotation is refused", AFTERWARDS, async || {
        let refused = |word: &AccountNews| matches!(word, AccountNews::Prepared { outcome: Err(_), .. });
        if task.news().iter().any(refused) { Ok(()) } else { Err(format!("{:?}", task.news().last())) }
    })
    .await;
    let left: Vec<i64> = (2..=60).collect();
    task.want(left.clone());
    stack.start(Part::Broker).await;
    let gone = AccountNews::Revoked { tenant: tenant(1) };
    eventually("everybody who stays is ready, and who goes is gone", AFTERWARDS, async || {
        let news = task.news();
        let ready = |id: &&i64| {
            let word = AccountNews::Ready { tenant: tenant(**id), generation: 1, next: None };
            !news.contains(&word)
        };
        let missing: Vec<_> = left.iter().filter(ready).take(3).collect();
        if missing.is_empty() && news.contains(&gone) { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
    for id in [2, 60] {
        installation.database(id, 1).await.expect("a login to the database");
        installation.broker(id, 1).await.expect("a login to the broker");
    }
    assert!(installation.database(1, 1).await.is_err() && installation.broker(1, 1).await.is_err());
}

#[tokio::test]
async fn a_database_that_was_away_is_found_again_and_orders_have_waited() {
    let stack = OwnStack::acquire().await;
    let installation = Installation::on(&stack.endpoints).await;
    let task = installation.start();
    task.want([1]);
    task.ready(&[1], 1, SOON).await;
    task.order(AccountOrder::Prepare { tenant: tenant(1) });
    task.says(AccountNews::Prepared { tenant: tenant(1), outcome: Ok(2) }, SOON).await;
    stack.kill(Part::Database).await;
    task.want([1, 2]);
    task.order(AccountOrder::Adopt { tenant: tenant(1), generation: 2 });
    eventually("the tenant that is new is told about it", SOON, async || {
        let missing =
            |word: &AccountNews| matches!(word, AccountNews::Missing { tenant: whose, .. } if *whose == tenant(2));
        if task.news().iter().any(missing) { Ok(()) } else { Err(format!("{:?}", task.news())) }
    })
    .await;
    stack.start(Part::Database).await;
    task.says(AccountNews::Settled { tenant: tenant(1), outcome: Ok(2) }, AFTERWARDS).await;
    task.says(AccountNews::Ready { tenant: tenant(2), generation: 1, next: None }, AFTERWARDS).await;
    assert!(installation.database(1, 1).await.is_err());
    installation.database(1, 2).await.expect("a login");
}
