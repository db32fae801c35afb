//! What must survive a restart of the supervisor, on disk before anybody is told that it is done.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use etl_shared::{TenantId, api::Action};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time};

use super::{
    handle::{Asked, ControlError, Order, Selection},
    news::{AfterStrikes, Answer, News, Recorded},
    overrides::Overrides,
    roster::Switches,
    strikes_file,
    view::FleetView,
};
use crate::poison::{Ledger, Rules, Suspect};

const FILE: &str = "fleet.json";
/// How long after a failure the state is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(30);

/// The state file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StateFile {
    /// What operators have switched.
    #[serde(default)]
    pub switches: Switches,
    /// The tenants that were last believed, for a start without database.
    #[serde(default)]
    pub tenants: BTreeSet<TenantId>,
    /// What people had set for single tenants, for the same.
    #[serde(default)]
    pub overrides: Overrides,
}

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// It cannot be read.
    #[error("cannot read the state file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("the state file {} is damaged: move it away to start with every worker switched on", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        source: serde_json::Error,
    },
}

impl StateFile {
    /// Reads it; a missing file is an empty state.
    pub(super) fn read(directory: &Path) -> Result<Self, StateFileError> {
        let path = directory.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| StateFileError::Damaged { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(StateFileError::Unreadable { path, source }),
        }
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self)?;
        write_atomically(&directory.join(FILE), &bytes)
    }
}

/// Replaces a file so that after a crash either the old or the new content is there, whole.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Takes orders one after the other, records what must survive, and passes them on.
#[derive(Debug)]
pub(super) struct Recorder {
    state: StateFile,
    /// The file holds something older: it could not be written.
    state_unwritten: bool,
    strikes: Ledger,
    /// The file holds something else: it could not be written.
    strikes_unwritten: bool,
    directory: PathBuf,
    view: Arc<ArcSwap<FleetView>>,
    news: mpsc::UnboundedSender<News>,
}

/// Something that the control loop has written down.
#[derive(Debug)]
pub(super) enum Note {
    /// The tenants that are believed; nobody waits for it.
    Tenants(BTreeSet<TenantId>),
    /// What people have set for single tenants; nobody waits for it.
    Overrides(Overrides),
    /// What is held against the messages of one queue.
    Strikes {
        /// Which.
        queue: String,
        /// All of it.
        page: Vec<Suspect>,
        /// What is done once it is written.
        then: AfterStrikes,
    },
    /// Strikes that are too old are forgotten; nobody waits for it.
    Expire {
        /// What is too old.
        rules: Rules,
        /// By which time.
        at: SystemTime,
    },
}

impl Recorder {
    /// Continues from what was read at the start.
    pub(super) const fn new(
        state: StateFile,
        strikes: Ledger,
        directory: PathBuf,
        view: Arc<ArcSwap<FleetView>>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        Self { state, state_unwritten: false, strikes, strikes_unwritten: false, directory, view, news }
    }

    /// Until nobody can send orders any longer.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>, mut notes: mpsc::UnboundedReceiver<Note>) {
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                Some(note) = notes.recv() => self.note(note, &mut notes),
                () = time::sleep(WRITE_AGAIN), if self.state_unwritten => self.write_state(),
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Control { selection, action, asked, answer } => {
                tracing::debug!(?selection, ?action, by = asked.by, "ordered");
                self.control(selection, action, asked, answer);
            }
            Order::Forgive { queue, fingerprint, asked, answer } => {
                tracing::info!(by = asked.by, %queue, fingerprint, "a message is forgiven");
                self.pass_on(Recorded::Forgive { queue, fingerprint, answer }, asked);
            }
            Order::Rotate { selection, asked, answer } => {
                tracing::info!(by = asked.by, ?selection, "secrets are to be replaced");
                self.pass_on(Recorded::Rotate(selection, answer), asked);
            }
            Order::ConfirmTenants { asked, answer } => {
                tracing::info!(by = asked.by, "the refused list of tenants is confirmed");
                self.pass_on(Recorded::ConfirmTenants(answer), asked);
            }
        }
    }

    fn control(&mut self, selection: Selection, action: Action, asked: Asked, answer: Answer<usize>) {
        if let Selection::Tenant(tenant) = selection {
            let view = self.view.load();
            if !view.tenants.contains_key(&tenant) && view.workers_of(tenant).is_empty() {
                let _ = answer.send(Err(ControlError::UnknownTenant(tenant)));
                return;
            }
        }
        let mut state = self.state.clone();
        // A restart of everybody leaves alone what was stopped on purpose; one of a tenant means that tenant.
        match (action, selection) {
            (Action::Start, _) | (Action::Restart, Selection::Tenant(_)) => state.switches.set(selection, true),
            (Action::Stop, _) => state.switches.set(selection, false),
            (Action::Restart, Selection::All) => {}
        }
        if state != self.state
            && let Err(error) = state.write(&self.directory)
        {
            let _ = answer.send(Err(ControlError::NotRecorded(error.to_string())));
            return;
        }
        // What was written holds all of it.
        self.state_unwritten &= state == self.state;
        self.state = state;
        let order = match action {
            Action::Start => Recorded::Start(selection, answer),
            Action::Stop => Recorded::Stop(selection, answer),
            Action::Restart => Recorded::Restart(selection, answer),
        };
        self.pass_on(order, asked);
    }

    /// Many workers may die at the same moment: what came meanwhile is written together.
    fn note(&mut self, first: Note, more: &mut mpsc::UnboundedReceiver<Note>) {
        let mut waiting = Vec::new();
        let mut next = Some(first);
        while let Some(note) = next {
            match note {
                Note::Tenants(tenants) => {
                    self.state_unwritten |= self.state.tenants != tenants;
                    self.state.tenants = tenants;
                }
                Note::Overrides(overrides) => {
                    self.state_unwritten |= self.state.overrides != overrides;
                    self.state.overrides = overrides;
                }
                Note::Strikes { queue, page, then } => {
                    self.strikes.set_page(queue, page);
                    self.strikes_unwritten = true;
                    waiting.push(then);
                }
                Note::Expire { rules, at } => {
                    let before = self.strikes.clone();
                    self.strikes.expire(rules, at);
                    self.strikes_unwritten |= self.strikes != before;
                }
            }
            next = more.try_recv().ok();
        }
        self.write_state();
        if !self.strikes_unwritten {
            return;
        }
        let error = strikes_file::write(&self.directory, &self.strikes).err().map(|error| error.to_string());
        self.strikes_unwritten = error.is_some();
        if let Some(error) = &error {
            tracing::warn!(error, "strikes were not recorded; a restart of the supervisor would forget them");
        }
        for then in waiting {
            let _ = self.news.send(News::StrikesKept { then, error: error.clone() });
        }
    }

    /// What is believed stays so where it cannot be written, and is written as soon as that is possible.
    fn write_state(&mut self) {
        if !self.state_unwritten {
            return;
        }
        match self.state.write(&self.directory) {
            Ok(()) => self.state_unwritten = false,
            Err(error) => tracing::warn!(
                %error, "tenants and what is set for them were not recorded; a start without database will use an older state"
            ),
        }
    }

    fn pass_on(&self, order: Recorded, asked: Asked) {
        // The loop is gone only when the program ends; the waiting caller then learns it from its dropped answer.
        let _ = self.news.send(News::Recorded { order, asked });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back_and_a_missing_file_is_an_empty_state() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(StateFile::read(directory.path()).unwrap(), StateFile::default());
        let mut state = StateFile::default();
        let tenant = TenantId::try_from(7).unwrap();
        state.switches.set(Selection::Tenant(tenant), false);
        state.tenants.insert(tenant);
        state.write(directory.path()).unwrap();
        assert_eq!(StateFile::read(directory.path()).unwrap(), state);
    }

    #[test]
    fn a_damaged_state_file_is_named_and_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        let error = StateFile::read(directory.path()).unwrap_err();
        assert!(error.to_string().contains(FILE), "{error}");
    }

    #[test]
    fn pages_of_queues_without_deaths_vanish_and_what_could_not_be_written_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let rules = Rules { strikes: 2, window: std::time::Duration::from_hours(72) };
        let long_ago = SystemTime::now() - std::time::Duration::from_hours(73);
        let mut strikes = Ledger::default();
        strikes.died(&strikes_file::tests::death(), rules, long_ago);
        strikes_file::write(directory.path(), &strikes).unwrap();
        let (_notes, mut heard) = mpsc::unbounded_channel();
        let (news, _told) = mpsc::unbounded_channel();
        // The directory is missing at first.
        let missing = directory.path().join("missing");
        let view = super::super::board::Board::new().published();
        let mut recorder = Recorder::new(StateFile::default(), strikes.clone(), missing, view, news);
        let expire = |recorder: &mut Recorder, more: &mut _| {
            recorder.note(Note::Expire { rules, at: SystemTime::now() }, more);
        };
        expire(&mut recorder, &mut heard);
        assert_eq!(strikes_file::read(directory.path()), strikes);
        directory.path().clone_into(&mut recorder.directory);
        expire(&mut recorder, &mut heard);
        assert_eq!(strikes_file::read(directory.path()), Ledger::default());
    }

    #[test]
    fn what_is_believed_and_could_not_be_written_is_written_with_whatever_is_next() {
        let directory = tempfile::tempdir().unwrap();
        let (news, _heard) = mpsc::unbounded_channel();
        let nowhere = directory.path().join("nowhere");
        let (view, state) = (super::super::board::Board::new().published(), StateFile::default());
        let mut recorder = Recorder::new(state, Ledger::default(), nowhere, view, news);
        let (_notes, mut more) = mpsc::unbounded_channel();
        let tenants = BTreeSet::from([TenantId::try_from(7).unwrap()]);
        let revision = crate::runtime::overrides::TenantOverrides { revision: 3, ..Default::default() };
        let overrides = Overrides([(TenantId::try_from(7).unwrap(), revision)].into());
        recorder.note(Note::Overrides(overrides.clone()), &mut more);
        directory.path().clone_into(&mut recorder.directory);
        recorder.note(Note::Tenants(tenants.clone()), &mut more);
        let written = StateFile::read(directory.path()).unwrap();
        assert_eq!((written.overrides, written.tenants), (overrides, tenants));
        assert!(!recorder.state_unwritten);
    }
}
