//! Kills what can be killed, while messages are published in bursts so that there is always somebody at work.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use system_tests::{Platform, Supervisor, fleet, processes};
use tokio::time::{sleep_until, timeout};

use super::world::{Message, TENANTS};

/// One burst of messages, with a stroke somewhere in it.
const BURSTS: u32 = 120;

/// Every kind of stroke is dealt more often than this by far.
const ENOUGH: usize = 5;

/// What may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stroke {
    Worker,
    Brain,
    BrokerConnections,
    DatabaseConnections,
}

pub(super) struct Chaos {
    dice: StdRng,
    supervisor: Supervisor,
    dealt: BTreeMap<Stroke, usize>,
}

/// How often what was killed.
pub(super) struct Summary(BTreeMap<Stroke, usize>);

impl Summary {
    /// A run in which little was killed proves little.
    pub(super) fn assert_enough(&self) {
        for stroke in [Stroke::Worker, Stroke::Brain, Stroke::BrokerConnections, Stroke::DatabaseConnections] {
            let dealt = self.0.get(&stroke).copied().unwrap_or(0);
            assert!(dealt >= ENOUGH, "{stroke:?} was dealt {dealt} times only: {self}");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "killed: {:?}", self.0)
    }
}

impl Chaos {
    pub(super) fn new(seed: u64, supervisor: Supervisor) -> Self {
        Self { dice: StdRng::seed_from_u64(seed), supervisor, dealt: BTreeMap::new() }
    }

    /// Publishes all of them within this time, and lays about it meanwhile.
    pub(super) async fn while_publishing(&mut self, platform: &Platform, messages: &[Message], lasts: Duration) {
        let began = Instant::now();
        let burst = messages.len().div_ceil(BURSTS as usize);
        for (number, some) in (0..).zip(messages.chunks(burst)) {
            let until = began + lasts / BURSTS * (number + 1);
            let strike_after = Duration::from_millis(self.dice.random_range(0..300));
            let publishing = platform.broker.publish_all(some.iter().map(Message::parts));
            let striking = async {
                sleep_until((Instant::now() + strike_after).into()).await;
                self.strike(platform).await;
            };
            tokio::join!(publishing, striking);
            sleep_until(until.into()).await;
        }
    }

    /// The supervisor, which runs, and what was done to everybody.
    pub(super) async fn over(mut self) -> (Supervisor, Summary) {
        if !self.supervisor.brain_is_alive() {
            self.supervisor.launch_brain();
        }
        self.supervisor.until_running(&TENANTS).await;
        (self.supervisor, Summary(self.dealt))
    }

    async fn strike(&mut self, platform: &Platform) {
        let strokes = [
            Stroke::Worker,
            Stroke::Worker,
            Stroke::Worker,
            Stroke::Brain,
            Stroke::BrokerConnections,
            Stroke::DatabaseConnections,
        ];
        let stroke = *strokes.choose(&mut self.dice).expect("there are strokes");
        let count = match stroke {
            Stroke::Worker => self.kill_worker().await,
            Stroke::Brain => {
                if self.supervisor.brain_is_alive() {
                    self.supervisor.kill_brain();
                }
                self.supervisor.launch_brain();
                1
            }
            Stroke::BrokerConnections => platform.broker.close_connections().await,
            Stroke::DatabaseConnections => {
                let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                            WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()";
                let row = platform.database.client().query_one(kill, &[]).await.expect("sessions can be ended");
                usize::try_from(row.get::<_, i64>(0)).unwrap_or(0)
            }
        };
        *self.dealt.entry(stroke).or_default() += count;
    }

    /// One of the workers that the supervisor knows of, if it answers: it may just have been killed itself.
    async fn kill_worker(&mut self) -> usize {
        let Ok(Ok(status)) = timeout(Duration::from_secs(2), self.supervisor.status()).await else { return 0 };
        let pids: Vec<i32> = TENANTS.iter().filter_map(|tenant| fleet::pid(&status, *tenant)).collect();
        let Some(pid) = pids.choose(&mut self.dice) else { return 0 };
        if !processes::alive(*pid) {
            return 0;
        }
        processes::signal(*pid, Signal::SIGKILL);
        1
    }
}
