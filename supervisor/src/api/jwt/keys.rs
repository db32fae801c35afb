//! The keys with which the platform signs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{self, Instant},
};

use super::{Unbelieved, fetch};
use crate::{
    api::secret::{digits, hash},
    settings,
};

/// A secret that is shorter could be found by trying.
const SHORTEST_SECRET: usize = 32;
/// Bytes of an RSA modulus: 2048 bits, as ring wants it.
const SHORTEST_MODULUS: usize = 256;
/// Most keys of a set.
const MOST: usize = 100;
/// Unknown keys make us look again, but not more often than this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Most requests that wait for that at once: whoever makes up names of keys shall not keep everybody's seats.
const WAITING: usize = 16;
/// How long a request with an unknown key waits for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// One key.
#[derive(Debug, Clone)]
pub(in crate::api) struct Key {
    pub(super) decoding: DecodingKey,
    /// A hash of what it consists of, so that another one is never taken for it.
    pub(super) name: String,
    /// The one algorithm that it is for, where its owner says so.
    only: Option<Algorithm>,
}

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JwtKeysError {
    /// The file cannot be read.
    #[error("cannot read the platform's key in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}: {expected}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
}

/// Those that are known now.
#[derive(Debug)]
pub(in crate::api) struct Keys {
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// For ever.
    One(Arc<Key>),
    /// As they are published.
    Set(Published),
}

#[derive(Debug)]
struct Published {
    keys: ArcSwap<BTreeMap<String, Arc<Key>>>,
    /// Somebody has named a key that is not there.
    missed: Notify,
    waiting: Semaphore,
    /// When they were last looked for, successfully or not.
    looked: watch::Sender<Option<Instant>>,
}

impl Key {
    fn new(decoding: DecodingKey, only: Option<Algorithm>) -> Self {
        let parts = match decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => digits(bytes),
            DecodingKeyKind::RsaModulusExponent { n, e } => format!("{} {}", digits(n), digits(e)),
        };
        Self { name: hash(&format!("etl-supervisor jwt key {parts}")), decoding, only }
    }

    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm)
    }
}

impl Keys {
    /// Reads files; what is published elsewhere is fetched by [`keep`](Self::keep).
    pub(super) fn open(settings: &settings::Jwt) -> Result<Self, JwtKeysError> {
        let one = |key| Self { source: Source::One(Arc::new(Key::new(key, None))) };
        if let Some(path) = &settings.secret_file {
            let text = read(path)?;
            let secret = text.strip_suffix(b"\n").map_or(&text[..], |rest| rest.strip_suffix(b"\r").unwrap_or(rest));
            if secret.len() < SHORTEST_SECRET {
                let expected = "a secret of at least 32 bytes is needed: a shorter one can be found by trying";
                return Err(JwtKeysError::Unusable { path: path.clone(), expected });
            }
            return Ok(one(DecodingKey::from_secret(secret)));
        }
        if let Some(path) = &settings.public_key_file {
            let key = DecodingKey::from_rsa_pem(&read(path)?);
            let expected = "expected an RSA public key as PEM, beginning with -----BEGIN PUBLIC KEY-----";
            return key.map(one).map_err(|_| JwtKeysError::Unusable { path: path.clone(), expected });
        }
        let keys = match &settings.jwks_file {
            Some(path) => usable(&read(path)?, &algorithms(settings))
                .map_err(|expected| JwtKeysError::Unusable { path: path.clone(), expected })?,
            None => BTreeMap::new(),
        };
        let looked = watch::Sender::new(settings.jwks_file.as_ref().map(|_| Instant::now()));
        let published = Published {
            keys: ArcSwap::from_pointee(keys),
            missed: Notify::new(),
            waiting: Semaphore::new(WAITING),
            looked,
        };
        Ok(Self { source: Source::Set(published) })
    }

    /// The key that a token names. Waits only for a key that is not known, and never long.
    pub(super) async fn find(&self, kid: Option<&str>) -> Result<Arc<Key>, Unbelieved> {
        let set = match &self.source {
            Source::One(key) => return Ok(Arc::clone(key)),
            Source::Set(set) => set,
        };
        let kid = kid.ok_or(Unbelieved::Invalid("the token names no key (kid)"))?;
        if let Some(key) = set.keys.load().get(kid) {
            return Ok(Arc::clone(key));
        }
        let mut looked = set.looked.subscribe();
        let fresh = looked.borrow_and_update().is_some_and(|at| at.elapsed() < LOOK_AGAIN);
        if !fresh {
            set.missed.notify_one();
            if let Ok(_place) = set.waiting.try_acquire() {
                let _ = time::timeout(PATIENCE, looked.changed()).await;
            }
        }
        let keys = set.keys.load();
        let none =
            if keys.is_empty() { Unbelieved::NoKeys } else { Unbelieved::Invalid("the token's key is not known") };
        keys.get(kid).map(Arc::clone).ok_or(none)
    }

    /// Whether the key of this name is among them, or none is known yet.
    pub(super) fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::One(key) => key.name == name,
            Source::Set(set) => {
                let keys = set.keys.load();
                keys.is_empty() || keys.values().any(|key| key.name == name)
            }
        }
    }

    /// Looks at them again now and then, and soon after somebody has missed one.
    pub(super) async fn keep(&self, settings: &settings::Jwt) {
        let Source::Set(set) = &self.source else { return };
        let algorithms = algorithms(settings);
        let mut said = String::new();
        loop {
            let known = set.looked.borrow().is_some();
            if known {
                // Until there are any, more often: nobody can come in.
                let pause = if set.keys.load().is_empty() { LOOK_AGAIN } else { settings.jwks_refresh };
                let _ = time::timeout(pause, set.missed.notified()).await;
                let last = *set.looked.borrow();
                if let Some(last) = last {
                    time::sleep_until(last + LOOK_AGAIN).await;
                }
            }
            let text = match (&settings.jwks_url, &settings.jwks_file) {
                (Some(url), _) => fetch::get(url, settings.jwks_ca_file.as_deref()).await,
                (None, Some(path)) => tokio::fs::read(path).await,
                (None, None) => return,
            };
            let found = text.map_err(|error| error.to_string());
            let found = found.and_then(|text| usable(&text, &algorithms).map_err(ToOwned::to_owned));
            let word = match found {
                Ok(keys) => {
                    let word = format!("{} usable keys", keys.len());
                    set.keys.store(Arc::new(keys));
                    if said != word {
                        tracing::info!(keys = %word, "the platform's keys");
                    }
                    word
                }
                Err(problem) => {
                    // Those that are known stay: a server that is down must not lock everybody out.
                    if said != problem {
                        tracing::warn!(%problem, "the platform's keys cannot be read; the last known ones stay");
                    }
                    problem
                }
            };
            said = word;
            set.looked.send_replace(Some(Instant::now()));
        }
    }
}

fn algorithms(settings: &settings::Jwt) -> Vec<Algorithm> {
    settings.algorithms().into_iter().map(super::algorithm).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, JwtKeysError> {
    fs::read(path).map_err(|source| JwtKeysError::Unreadable { path: path.to_owned(), source })
}

/// The keys of a set by name: RSA keys that are for signatures. Others are left out, and so are two of one name.
fn usable(text: &[u8], algorithms: &[Algorithm]) -> Result<BTreeMap<String, Arc<Key>>, &'static str> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }

    let set: Set = serde_json::from_slice(text).map_err(|_| "expected a set of keys: {\"keys\": [...]}")?;
    if set.keys.len() > MOST {
        return Err("there are too many keys in the set: at most 100");
    }
    let (mut keys, mut twice) = (BTreeMap::new(), BTreeSet::new());
    for value in set.keys {
        let Some((name, key)) = serde_json::from_value(value).ok().and_then(|jwk| of(&jwk, algorithms)) else {
            continue;
        };
        if keys.insert(name.clone(), Arc::new(key)).is_some() {
            tracing::warn!(kid = %super::fit_for_a_line(&name), "two of the platform's keys have one name: neither counts");
            twice.insert(name);
        }
    }
    keys.retain(|name, _| !twice.contains(name));
    if keys.is_empty() {
        Err("there is no usable key in the set: RSA of 2048 bits or more, with a kid")
    } else {
        Ok(keys)
    }
}

fn of(jwk: &Jwk, algorithms: &[Algorithm]) -> Option<(String, Key)> {
    let for_signatures = jwk.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    let name = jwk.common.key_id.clone().filter(|_| for_signatures)?;
    let only = jwk.common.key_algorithm.map(|only| only.to_string().parse::<Algorithm>().ok());
    let only = match only {
        Some(Some(only)) if algorithms.contains(&only) => Some(only),
        // For something else, or for encryption.
        Some(_) => return None,
        None => None,
    };
    // A secret or another kind of key has no business in a set of public RSA keys.
    let AlgorithmParameters::RSA(_) = &jwk.algorithm else { return None };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let DecodingKeyKind::RsaModulusExponent { n, .. } = key.kind() else { return None };
    (n.iter().skip_while(|byte| **byte == 0).count() >= SHORTEST_MODULUS).then(|| (name, Key::new(key, only)))
}
