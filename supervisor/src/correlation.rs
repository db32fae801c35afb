//! One id from a request to everything that it leads to: log lines, events, audit entries, messages.

use tokio::task_local;

task_local! {
    static CURRENT: String;
}

/// Runs `work`, whose every step knows this id.
pub async fn scope<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

/// The id of the request that is being worked on; `None` outside of one.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_knows_the_id_of_its_request_and_nothing_else_does() {
        assert_eq!(current(), None);
        assert_eq!(scope("a".to_owned(), async { current() }).await.as_deref(), Some("a"));
        assert_eq!(current(), None);
    }
}
