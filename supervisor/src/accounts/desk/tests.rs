use super::*;

fn tenant(id: i64) -> TenantId {
    TenantId::try_from(id).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the desk is told")]
fn wanted(ids: &[i64]) -> WantedTenants {
    Some(Arc::new(ids.iter().map(|id| tenant(*id)).collect()))
}

#[test]
fn another_number_of_workers_is_a_reason_to_look_at_the_accounts_of_that_tenant() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.want(wanted(&[1, 2]));
    for id in [1, 2] {
        let job = desk.start(tenant(id));
        desk.finish(&job, Ok(FINE), now);
    }
    assert!(desk.due(now, 9).is_empty());
    let crews = |set: &[(i64, u32)]| Crews::new(set.iter().map(|(id, workers)| (tenant(*id), *workers)).collect());
    desk.crews_changed(&crews(&[(1, 3)]), &crews(&[(1, 3), (2, 4), (3, 1)]));
    assert_eq!(desk.due(now, 9), [tenant(2)], "not the first, which has what it had, nor one that has no accounts");
}

const FINE: Standing = Standing { current: Some(1), next: None, recorded: true };

fn later() -> Problem {
    Problem::Later("away".to_owned())
}

#[test]
fn as_long_as_nobody_knows_the_tenants_nobody_is_revoked() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.look_at_all([tenant(1)].into_iter());
    let job = desk.start(tenant(1));
    assert_eq!(job.wanted, None);
    desk.finish(&job, Ok(FINE), now);
    desk.want(wanted(&[2]));
    assert_eq!(desk.due(now, 9), [tenant(1), tenant(2)]);
    let job = desk.start(tenant(1));
    assert_eq!(job.wanted, Some(false));
    let gone = Standing { current: None, ..FINE };
    assert_eq!(desk.finish(&job, Ok(gone), now), [AccountNews::Revoked { tenant: tenant(1) }]);
    // The list becomes unknown again: that is no reason to make accounts either.
    desk.want(None);
    assert_eq!(desk.start(tenant(1)).wanted, None);
}

#[test]
fn an_order_whose_connection_broke_is_carried_out_again_before_later_ones() {
    let mut desk = Desk::default();
    let (adopt, prepare) =
        (AccountOrder::Adopt { tenant: tenant(1), generation: 2 }, AccountOrder::Prepare { tenant: tenant(1) });
    desk.order(adopt.clone());
    desk.order(prepare);
    let job = desk.start(tenant(1));
    assert_eq!(job.order, Some(adopt.clone()));
    assert!(desk.due(Instant::now(), 9).is_empty(), "one thing at a time for each tenant");
    desk.interrupted();
    assert_eq!(desk.start(tenant(1)).order, Some(adopt));
}

#[test]
fn what_cannot_be_settled_is_said_once_and_tried_again_ever_more_rarely() {
    let (mut desk, mut now) = (Desk::default(), Instant::now());
    desk.order(AccountOrder::Adopt { tenant: tenant(1), generation: 2 });
    let mut said = 0;
    for _ in 0..8 {
        let job = desk.start(tenant(1));
        said += desk.finish(&job, Err(later()), now).len();
        assert!(desk.due(now, 9).is_empty());
        let next = desk.next_due().unwrap();
        assert!(next - now <= AGAIN.1);
        now = next;
        assert_eq!(desk.due(now, 9), [tenant(1)]);
    }
    assert_eq!(said, 1);
    let job = desk.start(tenant(1));
    let adopted = Standing { current: Some(2), ..FINE };
    let settled = AccountNews::Settled { tenant: tenant(1), outcome: Ok(2) };
    assert_eq!(desk.finish(&job, Ok(adopted), now)[0], settled);
}

#[test]
fn a_preparation_that_was_given_up_for_want_of_a_connection_does_not_go_on_with_the_next_one() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.want(wanted(&[1]));
    desk.recorded(tenant(1), 1, None);
    desk.order(AccountOrder::Prepare { tenant: tenant(1) });
    desk.start(tenant(1));
    desk.interrupted();
    let prepared = AccountNews::Prepared { tenant: tenant(1), outcome: Err("away".to_owned()) };
    assert_eq!(desk.unreachable("away"), [prepared]);
    // It had been recorded before the connection broke.
    assert_eq!(desk.recorded(tenant(1), 1, Some(2)), None);
    let job = desk.start(tenant(1));
    assert!(job.order.is_none() && job.abandon);
    assert_eq!(desk.finish(&job, Ok(FINE), now), []);
}

#[test]
fn an_adoption_of_what_is_gone_is_answered_and_not_tried_again() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.order(AccountOrder::Prepare { tenant: tenant(1) });
    let job = desk.start(tenant(1));
    desk.finish(&job, Ok(Standing { next: Some(2), ..FINE }), now);
    desk.order(AccountOrder::Adopt { tenant: tenant(1), generation: 2 });
    let job = desk.start(tenant(1));
    let news = desk.finish(&job, Err(Problem::Never("gone".to_owned())), now);
    let outcome = Err(Unsettled::Ever("gone".to_owned()));
    assert_eq!(news, [AccountNews::Settled { tenant: tenant(1), outcome }]);
    desk.order(AccountOrder::Repair { tenant: tenant(1) });
    let job = desk.start(tenant(1));
    assert_eq!(job.order, Some(AccountOrder::Repair { tenant: tenant(1) }));
    let ready = AccountNews::Ready { tenant: tenant(1), generation: 1, next: None };
    assert_eq!(desk.finish(&job, Ok(FINE), now), [ready], "also where it has been said before");
}

#[test]
fn a_preparation_that_failed_is_answered_and_cleaned_up_and_not_tried_again() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.order(AccountOrder::Prepare { tenant: tenant(1) });
    let job = desk.start(tenant(1));
    let news = desk.finish(&job, Err(later()), now);
    assert_eq!(news, [AccountNews::Prepared { tenant: tenant(1), outcome: Err("away".to_owned()) }]);
    let job = desk.start(tenant(1));
    assert!(job.order.is_none() && job.abandon);
    desk.finish(&job, Ok(FINE), now);
    assert!(!desk.start(tenant(1)).abandon);
}

#[test]
fn a_broker_that_is_away_takes_nothing_back_that_was_ready() {
    let (mut desk, now) = (Desk::default(), Instant::now());
    desk.want(wanted(&[1, 2]));
    let ready = AccountNews::Ready { tenant: tenant(1), generation: 1, next: None };
    assert_eq!(desk.recorded(tenant(1), 1, None), Some(ready));
    let job = desk.start(tenant(1));
    assert!(desk.finish(&job, Err(later()), now).is_empty());
    let job = desk.start(tenant(2));
    let missing = AccountNews::Missing { tenant: tenant(2), why: "away".to_owned() };
    assert_eq!(desk.finish(&job, Err(later()), now), [missing]);
}
