//! `etl-supervisor run`: puts the parts together.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use etl_shared::{
    credentials::{Credentials, CredentialsError},
    hidden::hide_memory,
};
use tokio::sync::{mpsc, watch};

use super::{
    board::Board,
    control::{AccountParts, Control, Parts},
    events_file,
    handle::Handle,
    less,
    lock::{InstanceLock, LockError},
    log_watch::{self, LogWatch},
    news::News,
    recorder::{Note, Recorder, StateFile, StateFileError},
    signals::Signals,
    strikes_file,
};
use crate::{
    accounts::{AccountsError, AccountsTask, Addresses, AddressesError, Crews, warn_of_leftover},
    api,
    audit::{AuditLog, AuditWriter},
    broker::{Backstop, BrokerTask},
    history::{Flush, HistoryWriter, Journal, Tally},
    keeper,
    reconcile::{Reconciler, Republished},
    settings::Settings,
    spans::{Exporter, Spans},
    store::{StoreTask, TenantSource},
};

/// So long a supervisor that ends waits for the database to take the last events.
const LAST_EVENTS_WITHIN: Duration = Duration::from_secs(2);
/// And so long for the collector to take the last spans.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(1);

/// How the supervisor is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// A graceful stop leaves the workers to the keeper.
    pub detach: bool,
    /// Never start a keeper: somebody else does, such as another unit.
    pub external_keeper: bool,
}

/// The supervisor could not start.
#[derive(Debug, thiserror::Error)]
pub enum BrainError {
    /// A directory cannot be used.
    #[error("cannot use the directory {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another supervisor works here.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What was recorded cannot be read.
    #[error(transparent)]
    State(#[from] StateFileError),
    /// A secret cannot be read.
    #[error("the credentials for the workers cannot be put together")]
    Credentials(#[from] CredentialsError),
    /// The workers' accounts cannot be used.
    #[error("tenants cannot have accounts of their own")]
    Addresses(#[from] AddressesError),
    /// They cannot be looked after.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The admin API cannot be served.
    #[error("the admin API cannot be served")]
    Api(#[from] api::ServeError),
    /// The operating system refused something that every process needs.
    #[error("cannot {doing}")]
    System {
        /// What.
        doing: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Runs the supervisor until somebody ends it.
pub fn run(config: &Path, settings: Settings, options: RunOptions) -> Result<(), BrainError> {
    hide_memory().map_err(|source| BrainError::System { doing: "hide its memory", source })?;
    // Every client and every credential that is handed over costs a descriptor.
    let _ = keeper::raise_open_files();
    prepare(&settings.runtime.directory, 0o711)?;
    prepare(&settings.runtime.log_directory, 0o750)?;
    prepare(&settings.runtime.state_directory, 0o750)?;
    // Before the first thread: it is a thread that has capabilities.
    less::privileged(config, &settings.runtime);
    let _lock = InstanceLock::take(&settings.runtime.directory)?;
    let state = StateFile::read(&settings.runtime.state_directory)?;
    let strikes = strikes_file::read(&settings.runtime.state_directory);
    let handover = handover(&settings)?;

    let journal = Journal::default();
    let state_directory = settings.runtime.state_directory.clone();
    events_file::begin(&state_directory, &journal);
    let mut board = Board::new();
    let view = board.published();
    let (news_sender, news) = mpsc::unbounded_channel();
    let (orders_sender, orders) = mpsc::channel(64);
    let (notes_sender, notes) = mpsc::unbounded_channel();
    let (wanted_queues, wanted_queues_seen) = watch::channel(Arc::default());
    let (reload_tenants, reload_tenants_seen) = watch::channel(0);
    let (log_limits, log_limits_seen) = watch::channel(log_watch::limits(&settings));
    let log_watch = LogWatch::new(&settings, view.clone(), log_limits_seen, news_sender.clone());
    let recorder =
        Recorder::new(state.clone(), strikes.clone(), state_directory.clone(), view.clone(), news_sender.clone());
    let republished = Republished::default();
    let reconciler = Reconciler::new(&settings, view.clone(), republished.clone());
    let (accounts, accounts_task) = accounts(&settings, news_sender.clone())?.unzip();
    if accounts.is_some() {
        board.show_accounts();
    }
    let (writer, flush) = history(&settings, &journal);
    let keep = settings.history.audit_keep;
    let (audit, audit_writer) = AuditLog::new(&state_directory, settings.database.clone(), Some(keep));
    let (spans, exporter) = Exporter::new(settings.telemetry.otlp_endpoint.clone(), settings.runtime.spans_socket());
    let outside = Outside {
        writer,
        exporter,
        settings: settings.clone(),
        reconciler,
        accounts: accounts_task,
        log_watch,
        news: news_sender,
        wanted_queues_seen,
        reload_tenants_seen,
        audit: audit_writer,
        tally: board.tally().clone(),
    };
    outside.start(recorder, orders, notes)?;

    let handle = Handle::new(orders_sender, view);
    let reload = reload_tenants.clone();
    let api =
        api::serve(api_context(&settings, handle, republished, journal.clone(), reload, audit.clone(), spans.clone()))?;
    if let Some(address) = api.address() {
        tracing::info!(%address, "admin API");
    }

    let events = journal.clone();
    let parts = Parts {
        settings,
        config: config.to_owned(),
        detach: options.detach,
        external_keeper: options.external_keeper,
        handover,
        accounts,
        switches: state.switches,
        last_tenants: state.tenants,
        overrides: state.overrides,
        news,
        notes: notes_sender,
        strikes,
        wanted_queues,
        log_limits,
        reload_tenants,
        board,
        journal,
    };
    let seed = getrandom::u64().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| BrainError::System { doing: "start the control loop", source })?;
    runtime.block_on(async {
        let signals = Signals::listen().map_err(|source| BrainError::System { doing: "listen to signals", source })?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "supervisor started");
        // Under systemd the unit counts as started from here on; what is not there yet is waited for inside.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        Control::new(parts, seed).run(signals).await;
        api.stop().await;
        if let Some(flush) = flush {
            flush.flush(LAST_EVENTS_WITHIN).await;
            if let Some(ending) = events.ending() {
                events_file::end(&state_directory, ending);
            }
        }
        audit.flush().await;
        spans.flush(LAST_SPANS_WITHIN).await;
        Ok::<_, BrainError>(())
    })?;
    tracing::info!("supervisor ended");
    Ok(())
}

/// Everything that waits for somebody outside, on a thread of its own.
struct Outside {
    exporter: Option<Exporter>,
    settings: Settings,
    reconciler: Option<Reconciler>,
    writer: Option<HistoryWriter>,
    accounts: Option<AccountsTask>,
    log_watch: LogWatch,
    news: mpsc::UnboundedSender<News>,
    wanted_queues_seen: watch::Receiver<crate::broker::WantedQueues>,
    reload_tenants_seen: watch::Receiver<u64>,
    audit: AuditWriter,
    tally: Tally,
}

impl Outside {
    fn start(
        self,
        recorder: Recorder,
        orders: mpsc::Receiver<super::handle::Order>,
        notes: mpsc::UnboundedReceiver<Note>,
    ) -> Result<(), BrainError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| BrainError::System { doing: "start the thread for broker and database", source })?;
        let serve = move || {
            runtime.block_on(async {
                tokio::spawn(self.audit.run());
                if let (Some(broker), Some(database)) = (&self.settings.broker, &self.settings.database) {
                    tokio::spawn(Backstop::new(broker.clone(), database.clone(), self.tally.clone()).run());
                }
                match (self.accounts, &self.settings.database) {
                    (Some(accounts), _) => drop(tokio::spawn(accounts.run())),
                    (None, Some(database)) => drop(tokio::spawn(warn_of_leftover(database.clone()))),
                    (None, None) => {}
                }
                if let Some(broker) = self.settings.broker {
                    tokio::spawn(BrokerTask::new(broker, self.wanted_queues_seen, self.news.clone()).run());
                }
                if let Some(database) = self.settings.database {
                    let source = match self.settings.tenants {
                        Some(_) => TenantSource::Configuration,
                        None => TenantSource::Database,
                    };
                    tokio::spawn(StoreTask::new(database, source, self.reload_tenants_seen, self.news).run());
                }
                let history = self.writer.map(|writer| tokio::spawn(writer.run()));
                if let Some(exporter) = self.exporter {
                    tokio::spawn(exporter.run());
                }
                if let Some(reconciler) = self.reconciler {
                    tokio::spawn(reconciler.run());
                }
                tokio::spawn(self.log_watch.run());
                recorder.run(orders, notes).await;
                // Orders end before the last events are written; the process ends when they are.
                if let Some(history) = history {
                    let _ = history.await;
                }
            });
        };
        thread::Builder::new()
            .name("outside".to_owned())
            .spawn(serve)
            .map_err(|source| BrainError::System { doing: "start the thread for broker and database", source })?;
        Ok(())
    }
}

/// Whoever writes the history, and how he is hurried; `None`: there is no database for it.
fn history(settings: &Settings, journal: &Journal) -> (Option<HistoryWriter>, Option<Flush>) {
    let writer = |database| HistoryWriter::new(database, settings.history.events_keep, journal.clone());
    settings.database.clone().map(writer).unzip()
}

fn api_context(
    settings: &Settings,
    handle: Handle,
    republished: Republished,
    journal: Journal,
    reload_tenants: watch::Sender<u64>,
    audit: AuditLog,
    spans: Spans,
) -> api::ApiContext {
    let mut required_parts = vec!["keeper"];
    required_parts.extend(settings.broker.is_some().then_some("broker"));
    required_parts.extend(settings.database.is_some().then_some("database"));
    api::ApiContext {
        handle,
        runtime: settings.runtime.clone(),
        listen: settings.api.listen,
        api: settings.api.clone(),
        auth: settings.auth.clone(),
        required_parts,
        started_at: SystemTime::now(),
        broker: settings.broker.clone(),
        database: settings.database.clone(),
        republished,
        journal,
        reload_tenants,
        audit,
        spans,
        look: Some(super::sample::look),
    }
}

/// The control loop's end of what it has to do with accounts, and whoever looks after them; `None`: all workers share one.
fn accounts(
    settings: &Settings,
    news: mpsc::UnboundedSender<News>,
) -> Result<Option<(AccountParts, AccountsTask)>, BrainError> {
    let (orders, ordered) = mpsc::unbounded_channel();
    let (wanted, seen) = watch::channel(None);
    let (crews, crews_seen) = watch::channel(Crews::default());
    let tell = move |told| {
        let _ = news.send(News::Account(told));
    };
    let Some(task) = AccountsTask::new(settings, seen, ordered, tell)? else { return Ok(None) };
    let (Some(broker), Some(database)) = (&settings.broker, &settings.database) else { return Ok(None) };
    let addresses = Addresses::of(&settings.credentials, broker, database)?;
    Ok(Some((AccountParts { addresses, orders, wanted, crews }, task.with_crews(crews_seen))))
}

fn prepare(path: &Path, mode: u32) -> Result<(), BrainError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .create(path)
        // Whatever the umask: workers have to pass through.
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|source| BrainError::Directory { path: path.to_owned(), source })
}

/// What every worker is handed, where both broker and database are configured.
pub(super) fn handover(settings: &Settings) -> Result<Option<Credentials>, CredentialsError> {
    match (&settings.broker, &settings.database) {
        (Some(broker), Some(database)) => Credentials::new(broker.workers_url()?, database.workers_url()?).map(Some),
        _ => Ok(None),
    }
}
