//! How the queues stand, as people see it.

use std::time::Duration;

use etl_shared::api::{QueueList, QueueStatus, Role};
use system_tests::{
    Platform, SOON, Supervisor, eventually, http::Call, platform::queue_of, stack::Endpoints, supervisor_setup::quoted,
};

use super::scene::{document, platform_with, setup};

const QUEUES: &str = "/api/v1/admin/queues/status";

#[tokio::test]
async fn everybody_sees_the_queues_that_are_theirs() {
    let (_platform, supervisor, _) = platform_with(&[1, 2]).await;
    let all = eventually("both queues have been looked at", SOON, async || {
        let list: QueueList = supervisor.socket(Call::get(QUEUES)).await.unwrap().expect_status(200).json();
        if list.queues.len() == 2 { Ok(list) } else { Err(format!("{list:?}")) }
    })
    .await;
    assert_eq!(all.queues.iter().map(|queue| queue.name.clone()).collect::<Vec<_>>(), [queue_of(1), queue_of(2)]);
    assert_eq!(all.next_cursor, None);
    let viewer = supervisor.token(Role::Viewer, Some(2)).await;
    let own: QueueList = supervisor.tcp(Call::get(QUEUES).token(&viewer)).await.expect_status(200).json();
    assert_eq!(own.queues.iter().map(|queue| queue.name.clone()).collect::<Vec<_>>(), [queue_of(2)]);
    let page: QueueList = supervisor.socket(Call::get(&format!("{QUEUES}?limit=1"))).await.unwrap().json();
    assert_eq!((page.queues.len(), page.next_cursor.map(etl_shared::TenantId::get)), (1, Some(1)));
}

/// The broker gathers its statistics every five seconds, and it is asked every ten.
const WITH_RATES: Duration = Duration::from_mins(1);

async fn only_queue(supervisor: &Supervisor) -> Result<QueueStatus, String> {
    let reply = supervisor.socket(Call::get(QUEUES)).await.map_err(|error| error.to_string())?;
    reply.expect_status(200).json::<QueueList>().queues.pop().ok_or_else(|| "no queue yet".to_owned())
}

#[tokio::test]
async fn what_is_in_hand_and_how_fast_it_goes_comes_from_the_management_api() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let setup = setup(&platform).set("broker", "management_url", &quoted(&Endpoints::shared().management));
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    let raw = platform.add_raw(1, system_tests::platform::KIND, &document(1)).await;
    let _held = platform.hold_raw(raw).await;
    platform.publish(&queue_of(1), &system_tests::platform::message(1, raw)).await;
    eventually("a message is shown in its worker's hand", WITH_RATES, async || {
        let queue = only_queue(&supervisor).await?;
        let rates = queue.publish_rate.is_some() && queue.ack_rate.is_some();
        if queue.messages_unacknowledged == Some(1) && rates { Ok(()) } else { Err(format!("{queue:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_management_api_that_is_away_leaves_out_what_only_it_can_tell_and_is_mentioned_once() {
    let platform = Platform::new().await;
    platform.add_tenant(1).await;
    let setup = setup(&platform).set("broker", "management_url", "\"http://nobody:nothing@127.0.0.1:1\"");
    let supervisor = Supervisor::start(&setup).await;
    supervisor.until_running(&[1]).await;
    let queue = eventually("the queue is shown", SOON, async || only_queue(&supervisor).await).await;
    assert_eq!((queue.messages_unacknowledged, queue.publish_rate, queue.ack_rate), (None, None, None));
    let said = supervisor.log().matches("queues are shown without rates").count();
    assert_eq!(said, 1, "{}", supervisor.log());
}
