//! The control loop: the one task that owns the fleet.
//!
//! It takes facts from the keeper, news from the other parts and signals, hands them to the fleet, and carries out what the
//! fleet orders. It never waits for broker, database or disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    time::Duration,
};

use etl_shared::{TenantId, WorkerName, api::TenantList, credentials::Credentials};
use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};

pub(super) use accounts::AccountParts;

use accounts::Accounts;
use budget::Admissions;
use deaths::Deaths;
use forgiveness::Forgiveness;
use memory::Memory;
use overrides::SettingsOfTenants;
use progress::Progress;

use super::{
    board::Board,
    keeper_link::{FromKeeper, KeeperLink},
    log_watch::LogLimits,
    news::News,
    overrides::Overrides,
    recorder::Note,
    roster::Switches,
    signals::Signals,
};
use crate::{
    broker::WantedQueues,
    clock::BootTime,
    history::Journal,
    keeper::protocol::{Report, SpawnFailure},
    lifecycle::{Event, Fleet, Found, Reliefs, SpawnTrouble, Why},
    poison::Ledger,
    settings::Settings,
};

mod accounts;
mod blocks;
mod budget;
mod chronicle;
mod counting;
mod deaths;
mod effects;
mod forgiveness;
mod memory;
mod orders;
mod overrides;
mod progress;
mod relief;
mod reload;
mod rotation;
mod samples;
mod signals;
mod tenants;

/// A view is published at most this long after a change, so that a thousand changes at once are few publications.
const PUBLISH_WITHIN: Duration = Duration::from_millis(5);
/// How long the keeper may take to end once it has no process left.
const KEEPER_ENDS_WITHIN: Duration = Duration::from_secs(2);
/// How often the loop turns even when nothing happens.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What the loop is given to work with.
pub(super) struct Parts {
    /// The configuration.
    pub settings: Settings,
    /// Where it came from.
    pub config: PathBuf,
    /// Whether workers outlive a graceful stop.
    pub detach: bool,
    /// Whether the keeper belongs to somebody else, such as another unit.
    pub external_keeper: bool,
    /// What workers are handed, where broker and database are configured.
    pub handover: Option<Credentials>,
    /// Where every tenant has accounts of its own; then nobody is handed those above.
    pub accounts: Option<AccountParts>,
    /// What operators have switched, as read at the start.
    pub switches: Switches,
    /// The tenants believed last, as read at the start.
    pub last_tenants: BTreeSet<TenantId>,
    /// What people had set for single tenants, as read at the start.
    pub overrides: Overrides,
    /// News from the other parts.
    pub news: mpsc::UnboundedReceiver<News>,
    /// What is held against messages, as read at the start.
    pub strikes: Ledger,
    /// Where the loop has things written down.
    pub notes: mpsc::UnboundedSender<Note>,
    /// The queues that should exist.
    pub wanted_queues: watch::Sender<WantedQueues>,
    /// How large logs may grow.
    pub log_limits: watch::Sender<LogLimits>,
    /// Changed to have the tenants read at once.
    pub reload_tenants: watch::Sender<u64>,
    /// What others see.
    pub board: Board,
    /// What others hear.
    pub journal: Journal,
}

/// The loop's own things.
pub(super) struct Control {
    parts: Parts,
    fleet: Fleet,
    reliefs: Reliefs,
    accounts: Accounts,
    link: KeeperLink,
    /// `None` until somebody has said which tenants there are.
    tenants: Option<BTreeSet<TenantId>>,
    tenants_source: &'static str,
    refused: Option<BTreeSet<TenantId>>,
    ready_queues: HashSet<String>,
    going: Going,
    keeper_told_to_end: bool,
    publish_at: Option<Instant>,
    housekeeping_at: Instant,
    sample_cursor: Option<WorkerName>,
    /// Part of a sample that was not due yet in the last second.
    sample_credit: f64,
    keeper_shown: String,
    deaths: Deaths,
    forgiveness: Forgiveness,
    progress: Progress,
    memory: Memory,
    admissions: Admissions,
    settings_of_tenants: SettingsOfTenants,
    /// Whether each part works that has ever worked in this life.
    worked: BTreeMap<&'static str, bool>,
}

/// Whether the supervisor is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Going {
    /// It serves.
    On,
    /// It waits for its workers to leave.
    Down,
    /// It leaves now.
    Out,
}

impl Control {
    /// Knows nothing yet.
    pub(super) fn new(parts: Parts, seed: u64) -> Self {
        let policy = reload::policy(&parts.settings);
        let link = KeeperLink::open(parts.config.clone(), parts.settings.runtime.clone(), !parts.external_keeper);
        let mut control = Self {
            reliefs: Reliefs::new(policy.max_concurrent_starts),
            accounts: Accounts::default(),
            fleet: Fleet::new(policy, seed),
            link,
            tenants: None,
            tenants_source: "none yet",
            refused: None,
            ready_queues: HashSet::new(),
            going: Going::On,
            keeper_told_to_end: false,
            publish_at: None,
            housekeeping_at: Instant::now(),
            sample_cursor: None,
            sample_credit: 0.0,
            keeper_shown: String::new(),
            deaths: Deaths::default(),
            forgiveness: Forgiveness::default(),
            progress: Progress::default(),
            memory: Memory::default(),
            admissions: Admissions::new(),
            settings_of_tenants: SettingsOfTenants::default(),
            worked: BTreeMap::new(),
            parts,
        };
        control.take_up_settings();
        control
    }

    /// Until somebody ends the supervisor.
    pub(super) async fn run(mut self, mut signals: Signals) {
        self.tell_memory_limits();
        if self.parts.settings.database.is_none() {
            self.accept_listed_tenants();
        }
        while self.going != Going::Out {
            let wake_at = self.wake_at();
            tokio::select! {
                from_keeper = self.link.next() => self.hear(from_keeper),
                Some(news) = self.parts.news.recv() => self.learn(news),
                asked = signals.next() => self.obey(asked),
                () = time::sleep_until(wake_at) => {}
            }
            self.keep_time();
            self.leave_when_empty();
        }
        self.publish();
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        if self.keeper_told_to_end {
            // What was said to it goes out while it is listened to; it hangs up as its last act.
            let gone = async { while !matches!(self.link.next().await, FromKeeper::Lost(_)) {} };
            let _ = time::timeout(KEEPER_ENDS_WITHIN, gone).await;
        }
    }

    /// When the loop has something to do although nothing happens.
    fn wake_at(&self) -> Instant {
        let fleet = [self.fleet.next_deadline(), self.reliefs.next_deadline()].into_iter().flatten().min();
        let fleet = fleet.map(|deadline| {
            let wait = deadline.since(BootTime::now());
            // Rounded up to the timer's own step, or the loop would turn idly until the deadline has passed.
            Instant::now() + wait + Duration::from_millis(1)
        });
        [fleet, self.progress_due(), self.memory_due(), self.resume_due(), self.publish_at, Some(self.housekeeping_at)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.housekeeping_at)
    }

    fn keep_time(&mut self) {
        let now = BootTime::now();
        if self.fleet.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.happened(Event::Tick);
        }
        self.advance_reliefs();
        self.advance_rotations();
        self.look_for_progress();
        self.look_at_memory();
        self.answer_the_forgiving();
        self.end_pauses();
        let instant = Instant::now();
        self.conclude_overdue(instant);
        self.expire_strikes(instant);
        if instant >= self.housekeeping_at {
            self.housekeeping_at = instant + HOUSEKEEPING;
            self.sample_some();
            self.deaths.count_oom_kills(instant);
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
            self.publish();
        } else if self.publish_at.is_some_and(|at| at <= instant) {
            self.publish();
        } else if self.parts.board.is_dirty() && self.publish_at.is_none() {
            self.publish_at = Some(instant + PUBLISH_WITHIN);
        }
    }

    fn publish(&mut self) {
        self.parts.board.publish(self.parts.journal.last_id());
        self.publish_at = None;
    }

    // ---- facts in, orders out -----------------------------------------------------------------------------------------

    fn happened(&mut self, event: Event) {
        for effect in self.fleet.handle(event, BootTime::now()) {
            self.carry_out(effect);
        }
    }

    fn hear(&mut self, from_keeper: FromKeeper) {
        match from_keeper {
            FromKeeper::Connected { pid, walls } => {
                tracing::info!(pid, "keeper answers");
                self.keeper_shown.clear();
                self.part_changed("keeper", true, "connected");
                self.parts.board.set_keeper(Some(pid), "connected".to_owned());
                self.parts.board.set_walls(walls);
            }
            FromKeeper::Lost(why) => {
                tracing::error!(why, "keeper lost");
                self.part_changed("keeper", false, &why);
                self.parts.board.set_keeper(None, why);
                self.deaths.keeper_lost();
                self.forgiveness.processes_are_known(false);
                self.accounts.processes_are_known = false;
                self.abandon_reliefs(|_| true);
                self.happened(Event::KeeperLost);
            }
            FromKeeper::Absent(why) => {
                if self.keeper_shown != why {
                    tracing::warn!(why, "no keeper");
                    self.keeper_shown.clone_from(&why);
                }
                self.part_changed("keeper", false, &why);
                self.parts.board.set_keeper(None, why);
            }
            FromKeeper::Report(report) => self.report(report),
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Hello { .. } => {}
            Report::Process { worker, incarnation, pid, started_at, ready } => {
                tracing::info!(worker = %worker, tenant = worker.tenant.get(), incarnation, pid, "adopted");
                self.parts.board.tally().adopted(&worker, incarnation);
                self.happened(Event::Found(worker.clone(), Found { incarnation, pid, started_at, ready }));
                if self.going == Going::Down {
                    self.happened(Event::Unwant { worker, why: Why::Shutdown });
                }
            }
            Report::Listed => self.listed(),
            Report::Spawned { worker, incarnation, pid, started_at } => {
                self.happened(Event::Spawned { worker, incarnation, pid, started_at });
            }
            Report::SpawnFailed { worker, incarnation, failure } => {
                let trouble = match failure {
                    SpawnFailure::LeaseHeld { holder } => SpawnTrouble::LeaseHeld { holder },
                    SpawnFailure::UnknownTemplate => SpawnTrouble::Failed {
                        detail: format!("the keeper's configuration has no [queues.{}]", worker.queue_type),
                    },
                    SpawnFailure::Failed { step, error, .. } => {
                        SpawnTrouble::Failed { detail: format!("{step}: {error}") }
                    }
                };
                self.happened(Event::SpawnFailed { worker, incarnation, trouble });
            }
            Report::Ready { worker, incarnation } => self.happened(Event::Ready { worker, incarnation }),
            Report::Exited { worker, incarnation, status, usage, at, .. } => {
                self.ended(worker, incarnation, status, &usage, at);
            }
            Report::Walls { walls } => self.parts.board.set_walls(walls),
            Report::Refused { detail } => tracing::warn!(detail, "the keeper refused a request"),
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Tenants(tenants) => self.tenants_read(tenants),
            News::Overrides(overrides) => {
                self.overrides_read(overrides);
                self.accept_listed_tenants();
            }
            News::Names(names) => self.parts.board.set_names(names),
            News::Part { part, ok, detail } => {
                self.part_changed(part, ok, &detail);
                let was_ok = self.parts.board.set_part(part, ok, detail);
                if ok && !was_ok {
                    self.happened(Event::DependencyUp);
                }
                if part == "database" {
                    self.accept_listed_tenants();
                    if !ok {
                        self.fall_back_on_last_tenants();
                    }
                }
            }
            News::QueueReady(queue) => {
                self.ready_queues.insert(queue.clone());
                for worker in self.crew_of(&queue) {
                    self.check_what_is_missing(&worker);
                }
            }
            News::QueueMissing { queue, why } => {
                self.ready_queues.remove(&queue);
                for worker in self.crew_of(&queue) {
                    self.happened(Event::Blocked { worker, on: why.clone() });
                }
            }
            News::Seats(seats) => self.seats_known(seats),
            News::Depths(depths) => self.parts.board.set_queues(depths),
            News::Recorded { order, asked } => self.apply(order, &asked),
            News::Account(news) => self.accounts_changed(news),
            News::LogTooLarge(worker) => self.link.rotate_log(worker),
            News::StrikesKept { then, error } => self.strikes_kept(then, error),
        }
    }

    fn crew_of(&self, queue: &str) -> Vec<WorkerName> {
        let Ok(etl_shared::QueueName::Tenant { queue_type, tenant }) = queue.parse() else { return Vec::new() };
        self.fleet.crew(&queue_type, tenant).map(|(worker, _)| worker.clone()).collect()
    }

    fn tenant_list(&self) -> TenantList {
        TenantList {
            tenants: self.tenants.iter().flatten().copied().collect(),
            source: self.tenants_source.to_owned(),
            refused: self.refused.as_ref().map(|refused| refused.iter().copied().collect()),
        }
    }
}
