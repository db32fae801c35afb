//! How the queues stand, as people see it.

use etl_shared::api::{QueueList, Role};
use system_tests::{SOON, eventually, http::Call, platform::queue_of};

use super::scene::platform_with;

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
