//! Looks at the sizes of the logs that workers write, so that the keeper makes those smaller that have grown too large.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use etl_shared::{QueueType, WorkerName};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};

use super::{news::News, view::FleetView};
use crate::{settings::Settings, worker_log::current};

/// Between two looks at some of the logs.
const TURN: Duration = Duration::from_secs(5);
/// The same while a log grows so fast that it would be too large before its turn comes.
const SOON: Duration = Duration::from_secs(1);

/// What is too large, in bytes.
pub(super) type LogLimits = Arc<BTreeMap<QueueType, u64>>;

/// Whoever looks.
#[derive(Debug)]
pub(super) struct LogWatch {
    directory: PathBuf,
    /// In this time everybody has had a turn.
    round: Duration,
    view: Arc<ArcSwap<FleetView>>,
    limits: watch::Receiver<LogLimits>,
    news: mpsc::UnboundedSender<News>,
    seen: HashMap<WorkerName, Seen>,
    /// Whose turn comes next, by place.
    next: usize,
    /// The view's version when everybody was last gone through.
    version: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    size: u64,
    at: Instant,
    /// It is looked at again soon.
    soon: bool,
}

/// The limits that this configuration sets.
pub(super) fn limits(settings: &Settings) -> LogLimits {
    Arc::new(settings.queues.iter().map(|(name, queue)| (name.clone(), queue.log_max_size)).collect())
}

impl LogWatch {
    pub(super) fn new(
        settings: &Settings,
        view: Arc<ArcSwap<FleetView>>,
        limits: watch::Receiver<LogLimits>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        let directory = settings.runtime.log_directory.clone();
        let round = settings.limits.sample_every.max(SOON);
        Self { directory, round, view, limits, news, seen: HashMap::new(), next: 0, version: None }
    }

    /// Until nobody hears it any more.
    pub(super) async fn run(mut self) {
        while !self.news.is_closed() {
            let turn = TURN.min(self.round);
            let turn = if self.is_in_a_hurry() { SOON } else { turn };
            time::sleep(turn).await;
            self.look(turn);
        }
    }

    fn is_in_a_hurry(&self) -> bool {
        self.seen.values().any(|seen| seen.soon)
    }

    fn look(&mut self, turn: Duration) {
        let view = self.view.load_full();
        let writing = view.workers.iter().filter(|worker| worker.process.is_some()).map(|worker| &worker.name);
        let writing: Vec<&WorkerName> = writing.collect();
        let count = writing.len();
        if self.seen.len() > 2 * count + 16 {
            // They are seen again at once.
            self.seen.clear();
            self.version = None;
        }
        // Where nobody is new and nobody in a hurry, a thousand need not be looked up each time.
        let only_turns = self.version.replace(view.version) == Some(view.version) && !self.is_in_a_hurry();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a count"
        )]
        let due = (count as f64 * turn.as_secs_f64() / self.round.as_secs_f64()).ceil() as usize;
        // Where workers come and go in between, somebody may wait a round longer.
        let start = self.next;
        self.next = if count == 0 { 0 } else { (start + due) % count };
        for (place, name) in writing.into_iter().enumerate() {
            let has_its_turn = (place + count - start.min(count)) % count < due;
            // One that nobody has seen yet has its turn at once: it may have begun with a flood.
            if has_its_turn || !only_turns && self.seen.get(name).is_none_or(|seen| seen.soon) {
                self.look_at(name);
            }
        }
    }

    fn look_at(&mut self, name: &WorkerName) {
        // By what it takes on the disk, which its length exceeds where its beginning has been removed.
        let size = fs::metadata(current(&self.directory, name)).map_or(0, |log| log.len().min(log.blocks() * 512));
        let Some(limit) = self.limits.borrow().get(&name.queue_type).copied() else { return };
        let now = Instant::now();
        let before = self.seen.get(name).copied();
        let soon = before.is_none_or(|before| {
            let (grown, took) = (size.saturating_sub(before.size), now - before.at);
            grows_too_fast(size, limit, grown, took, self.round)
        });
        self.seen.insert(name.clone(), Seen { size, at: now, soon });
        if size > limit {
            let _ = self.news.send(News::LogTooLarge(name.clone()));
        }
    }
}

/// Whether it could be too large before its turn comes, should it grow twice as fast from now on.
fn grows_too_fast(size: u64, limit: u64, grown: u64, took: Duration, round: Duration) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    let (room, grown) = (limit.saturating_sub(size) as f64, grown as f64);
    grown > 0.0 && grown / took.as_secs_f64().max(0.001) * 2.0 * round.as_secs_f64() > room
}
