//! Who is logged in on the page: a file that only this process writes, so that a restart logs nobody out.
//!
//! A cookie that carries everything signed would need no file, but a logout could not end it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use etl_shared::{TenantId, api::Role};
use serde::{Deserialize, Serialize};
use tokio::time;

use super::{
    listen::Turns,
    secret::{NoRandomness, SECRET_BYTES, hash, random_digits},
    whole_file::{self, PATIENCE},
};

/// Most sessions of all, and of one token or subject; the oldest ends for a new one.
const MOST: usize = 2_000;
const MOST_EACH: usize = 50;

/// All sessions. Changes are made at once and written by [`save`](Self::save).
#[derive(Debug)]
pub(super) struct SessionStore {
    path: PathBuf,
    /// How long one lasts.
    ttl: Duration,
    sessions: Arc<Mutex<Sessions>>,
    /// Of those who write the file.
    turns: Turns,
    /// How long a change waits for the disk.
    patience: Duration,
}

#[derive(Debug, Default)]
struct Sessions {
    /// By the hash of their cookie.
    by_key: BTreeMap<String, Stored>,
    /// So many changes there have been, and so many are in the file.
    changes: u64,
    written: u64,
}

/// One of them. The cookie itself is not here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Who has logged in.
    #[serde(flatten)]
    pub(super) who: Who,
    began: SystemTime,
    /// When it ends.
    pub(super) ends: SystemTime,
}

/// With what somebody has logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Who {
    /// An API token. What it allows is looked up each time, so a revoked one ends the session.
    Token {
        /// Its id.
        id: String,
    },
    /// A token of the platform, which is not kept.
    Jwt {
        /// Whom it was about.
        subject: String,
        /// The hash of its whole name.
        #[serde(default)]
        identity: String,
        /// What it allowed.
        role: Role,
        /// For which tenant.
        tenant_id: Option<TenantId>,
        /// By which settings it was believed: with others somebody has to log in again.
        believed: String,
        /// The key that it was signed with, as [`Jwts`](super::jwt::Jwts) calls it.
        #[serde(default)]
        key: String,
    },
}

/// A session that has just begun.
#[derive(Debug)]
pub(super) struct Begun {
    /// What the browser keeps.
    pub(super) cookie: String,
    /// How it is called here.
    pub(super) key: String,
    /// When it ends.
    pub(super) ends: SystemTime,
}

impl SessionStore {
    /// Reads the file. One that cannot be used costs everybody a login and nothing else.
    pub(super) fn open(path: PathBuf, ttl: Duration) -> Self {
        let sessions = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "sessions cannot be read: everybody has to log in again");
                BTreeMap::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "sessions cannot be read: everybody has to log in again");
                }
                BTreeMap::new()
            }
        };
        let sessions = Arc::new(Mutex::new(Sessions { by_key: sessions, ..Sessions::default() }));
        Self { path, ttl, sessions, turns: Turns::new(1), patience: PATIENCE }
    }

    /// Begins one, for at most as long as its token lasts.
    pub(super) fn begin(&self, who: Who, until: Option<SystemTime>, now: SystemTime) -> Result<Begun, NoRandomness> {
        let cookie = random_digits::<SECRET_BYTES>()?;
        let key = hash(&cookie);
        let ends = until.map_or(now + self.ttl, |until| until.min(now + self.ttl));
        let mut sessions = self.sessions();
        sessions.changes += 1;
        let by_key = &mut sessions.by_key;
        by_key.retain(|_, stored| stored.ends > now);
        make_room(by_key, MOST_EACH, |stored| stored.who.is_same(&who));
        make_room(by_key, MOST, |_| true);
        by_key.insert(key.clone(), Stored { who, began: now, ends });
        Ok(Begun { cookie, key, ends })
    }

    /// The session that a cookie is for, with its key. Only hashes are compared, so no duration tells anything about a cookie.
    pub(super) fn find(&self, cookie: &str, now: SystemTime) -> Option<(String, Stored)> {
        let key = hash(cookie);
        let stored = self.sessions().by_key.get(&key).filter(|stored| stored.ends > now).cloned()?;
        Some((key, stored))
    }

    /// Whether it is still there.
    pub(super) fn knows(&self, key: &str, now: SystemTime) -> bool {
        self.sessions().by_key.get(key).is_some_and(|stored| stored.ends > now)
    }

    /// Ends one.
    pub(super) fn end(&self, key: &str) {
        let mut sessions = self.sessions();
        if sessions.by_key.remove(key).is_some() {
            sessions.changes += 1;
        }
    }

    /// Writes every change so far; an error says that a restart would undo some. Several who wait for this at once share one write.
    pub(super) async fn save(&self) -> io::Result<()> {
        let wanted = self.sessions().changes;
        let saved = async {
            let turn = self.turns.take().await;
            if self.sessions().written >= wanted {
                return Ok(());
            }
            let (path, sessions) = (self.path.clone(), Arc::clone(&self.sessions));
            let replace = move || {
                let (changes, copy) = {
                    let sessions = locked(&sessions);
                    (sessions.changes, sessions.by_key.clone())
                };
                whole_file::replace(&path, &serde_json::to_vec(&copy)?)?;
                locked(&sessions).written = changes;
                Ok(())
            };
            turn.run(replace).await.unwrap_or_else(|| Err(whole_file::stopping()))
        };
        let saved = time::timeout(self.patience, saved).await.unwrap_or_else(|_| Err(whole_file::too_slow()));
        saved.inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "sessions cannot be written"))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        locked(&self.sessions)
    }
}

fn locked(sessions: &Mutex<Sessions>) -> MutexGuard<'_, Sessions> {
    // Every change is one step, so it is whole even after a panic.
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Who {
    /// The same token, or the same subject: a new login with another role is the same person.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token { id: one }, Self::Token { id: other })
            | (Self::Jwt { identity: one, .. }, Self::Jwt { identity: other, .. }) => one == other,
            _ => false,
        }
    }
}

/// Ends the oldest of those who count, until one more fits.
fn make_room(sessions: &mut BTreeMap<String, Stored>, most: usize, counts: impl Fn(&Stored) -> bool) {
    loop {
        let counted = || sessions.iter().filter(|(_, stored)| counts(stored));
        if counted().count() < most {
            return;
        }
        let Some(oldest) = counted().min_by_key(|(_, stored)| stored.began).map(|(key, _)| key.clone()) else { return };
        sessions.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::{runtime, task::spawn_blocking};

    use super::*;

    fn store(directory: &tempfile::TempDir) -> SessionStore {
        SessionStore::open(directory.path().join("sessions.json"), Duration::from_hours(1))
    }

    fn token(id: &str) -> Who {
        Who::Token { id: id.to_owned() }
    }

    #[tokio::test]
    async fn a_session_is_there_after_a_restart_and_its_cookie_is_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let first = store(&directory);
        let begun = first.begin(token("a"), None, now).unwrap();
        first.save().await.unwrap();
        let text = fs::read_to_string(directory.path().join("sessions.json")).unwrap();
        assert!(!text.contains(&begun.cookie) && text.contains(&begun.key), "{text}");
        let again = store(&directory);
        assert_eq!(again.find(&begun.cookie, now).unwrap().1.who, token("a"));
        assert!(again.find(&begun.key, now).is_none());
        again.end(&begun.key);
        again.save().await.unwrap();
        assert!(store(&directory).find(&begun.cookie, now).is_none());
    }

    #[test]
    fn it_ends_in_time_and_never_after_its_token() {
        let directory = tempfile::tempdir().unwrap();
        let (store, now) = (store(&directory), SystemTime::now());
        let long = store.begin(token("a"), None, now).unwrap();
        let short = store.begin(token("a"), Some(now + Duration::from_secs(5)), now).unwrap();
        let later = now + Duration::from_secs(5);
        assert!(store.knows(&long.key, later) && !store.knows(&short.key, later));
        assert!(store.find(&long.cookie, now + Duration::from_hours(1)).is_none());
    }

    #[test]
    fn many_logins_of_one_token_end_nobody_elses_session() {
        let directory = tempfile::tempdir().unwrap();
        let (store, now) = (store(&directory), SystemTime::now());
        let other = store.begin(token("b"), None, now).unwrap();
        let logins: Vec<_> =
            (0..60).map(|at| store.begin(token("a"), None, now + Duration::from_secs(at)).unwrap()).collect();
        assert!(store.knows(&other.key, now));
        assert!(!store.knows(&logins[9].key, now) && store.knows(&logins[10].key, now));
    }

    #[test]
    fn a_damaged_file_costs_a_login_only() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("sessions.json"), "{]").unwrap();
        let (store, now) = (store(&directory), SystemTime::now());
        let begun = store.begin(token("a"), None, now).unwrap();
        assert!(store.knows(&begun.key, now));
    }

    /// The only thread for such work is busy until this is dropped: a disk that does not answer.
    fn hung_disk() -> mpsc::Sender<()> {
        let (go_on, wait) = mpsc::channel();
        spawn_blocking(move || wait.recv());
        go_on
    }

    fn on_one_thread(test: impl Future<Output = ()>) {
        let runtime = runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn a_disk_that_does_not_answer_holds_up_nobody_but_who_logs_in() {
        on_one_thread(async {
            let directory = tempfile::tempdir().unwrap();
            let (store, now) =
                (SessionStore { patience: Duration::from_millis(50), ..store(&directory) }, SystemTime::now());
            let disk = hung_disk();
            let begun = store.begin(token("a"), None, now).unwrap();
            assert_eq!(store.save().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(store.knows(&begun.key, now));
            store.end(&begun.key);
            assert!(!store.knows(&begun.key, now), "logged out all the same");
            assert_eq!(store.save().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
            drop(disk);
            let store = SessionStore { patience: Duration::from_secs(20), ..store };
            store.save().await.unwrap();
            assert_eq!(fs::read_to_string(directory.path().join("sessions.json")).unwrap(), "{}");
        });
    }

    #[test]
    fn many_who_log_in_at_once_share_a_write() {
        on_one_thread(async {
            let directory = tempfile::tempdir().unwrap();
            let (store, now) = (store(&directory), SystemTime::now());
            let disk = hung_disk();
            store.begin(token("first"), None, now).unwrap();
            let mut first = Box::pin(store.save());
            assert!(futures_util::poll!(&mut first).is_pending());
            let others: Vec<_> = (0..40)
                .map(|at| {
                    store.begin(token("a"), None, now + Duration::from_secs(at)).unwrap();
                    Box::pin(store.save())
                })
                .collect();
            let mut others = Box::pin(futures_util::future::join_all(others));
            assert!(futures_util::poll!(&mut others).is_pending());
            drop(disk);
            first.await.unwrap();
            // What the first has written when its turn came has all of them: nobody writes again.
            let path = directory.path().join("sessions.json");
            fs::remove_file(&path).unwrap();
            let saved = others.await;
            assert!(saved.iter().all(Result::is_ok) && !path.exists(), "{saved:?}");
        });
    }
}
