//! API tokens: handed out once, kept as hashes in a file that only this process writes.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use etl_shared::api::{CreateToken, CreatedToken, TokenDescription};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use tokio::time;

use super::{
    authorize::{Caller, Grant},
    listen::{Turn, Turns},
    secret::{NoRandomness, SECRET_BYTES, hash, random_digits},
    whole_file::{self, PATIENCE},
};
use crate::clock::rfc3339;

/// Bytes of an id: enough that no two are alike; it is no secret.
const ID_BYTES: usize = 6;

/// All tokens.
#[derive(Debug)]
pub struct TokenStore {
    path: PathBuf,
    tokens: Arc<Mutex<Vec<Stored>>>,
    /// Of those who change them: each change begins with what the one before has left.
    turns: Turns,
}

/// What is kept of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    description: TokenDescription,
    /// SHA-256 of the whole token, in hexadecimal digits.
    sha256: String,
}

/// The tokens could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum TokenStoreError {
    /// The file cannot be read.
    #[error("cannot read the API tokens in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds something else. It is left alone: overwriting it would lose every token.
    #[error("{} does not hold API tokens: restore it, or move it away to begin without any token", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The change could not be written, so nothing has changed.
    #[error("cannot write the API tokens to {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("the system has no random numbers for a new token")]
    NoRandomness,
}

impl TokenStore {
    /// Reads the file; without one there are no tokens.
    pub fn open(path: PathBuf) -> Result<Self, TokenStoreError> {
        let tokens = match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(tokens) => tokens,
                Err(source) => return Err(TokenStoreError::Damaged { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(TokenStoreError::Unreadable { path, source }),
        };
        Ok(Self { path, tokens: Arc::new(Mutex::new(tokens)), turns: Turns::new(1) })
    }

    /// Makes a token. Role and tenant must go together; the caller has seen to that.
    pub(super) async fn create(&self, request: CreateToken) -> Result<CreatedToken, TokenStoreError> {
        let id = random_digits::<ID_BYTES>()?;
        let token = format!("etl_{id}_{}", random_digits::<SECRET_BYTES>()?);
        let CreateToken { name, role, tenant_id } = request;
        let description = TokenDescription { id, name, role, tenant_id, created_at: rfc3339(SystemTime::now()) };
        let turn = self.turn().await?;
        let mut changed = self.tokens().clone();
        changed.push(Stored { description: description.clone(), sha256: hash(&token) });
        self.write(turn, changed).await?;
        Ok(CreatedToken { token, description })
    }

    /// Every token without its secret, oldest first.
    pub(super) fn list(&self) -> Vec<TokenDescription> {
        self.tokens().iter().map(|stored| stored.description.clone()).collect()
    }

    /// Forgets a token; `false` where there is none of this id.
    pub(super) async fn revoke(&self, id: &str) -> Result<bool, TokenStoreError> {
        let turn = self.turn().await?;
        let before = self.tokens().clone();
        let changed: Vec<_> = before.iter().filter(|stored| stored.description.id != id).cloned().collect();
        if changed.len() == before.len() {
            return Ok(false);
        }
        self.write(turn, changed).await?;
        Ok(true)
    }

    /// Whose token this is.
    pub(super) fn bearer(&self, token: &str) -> Option<Caller> {
        let (id, _) = token.strip_prefix("etl_")?.split_once('_')?;
        let given = hash(token);
        let tokens = self.tokens();
        // The id is no secret and may be found in any time; the hashes are compared without telling where they differ.
        let stored = tokens.iter().find(|stored| stored.description.id == id)?;
        let same: bool = stored.sha256.as_bytes().ct_eq(given.as_bytes()).into();
        let TokenDescription { id, role, tenant_id, .. } = &stored.description;
        same.then(|| Grant::new(*role, *tenant_id)).flatten().map(|grant| Caller::Token { id: id.clone(), grant })
    }

    /// What the token of this id allows; `None` where it is unknown or revoked.
    pub(super) fn grant(&self, id: &str) -> Option<Grant> {
        let tokens = self.tokens();
        let TokenDescription { role, tenant_id, .. } =
            &tokens.iter().find(|stored| stored.description.id == id)?.description;
        Grant::new(*role, *tenant_id)
    }

    fn tokens(&self) -> MutexGuard<'_, Vec<Stored>> {
        locked(&self.tokens)
    }

    /// Behind a disk that does not answer nobody waits for ever: nothing has changed yet.
    async fn turn(&self) -> Result<Turn, TokenStoreError> {
        time::timeout(PATIENCE, self.turns.take()).await.map_err(|_| self.unwritable(whole_file::too_slow()))
    }

    /// Replaces file and list in one turn, whether or not somebody waits for it. The disk has as long as it takes: nobody could say
    /// what has become of the change before.
    async fn write(&self, turn: Turn, changed: Vec<Stored>) -> Result<(), TokenStoreError> {
        let (path, tokens) = (self.path.clone(), Arc::clone(&self.tokens));
        let replace = move || {
            whole_file::replace(&path, &serde_json::to_vec_pretty(&changed)?)?;
            *locked(&tokens) = changed;
            Ok(())
        };
        let written = turn.run(replace).await.unwrap_or_else(|| Err(whole_file::stopping()));
        written.map_err(|source| self.unwritable(source))
    }

    fn unwritable(&self, source: io::Error) -> TokenStoreError {
        TokenStoreError::Unwritable { path: self.path.clone(), source }
    }
}

fn locked(tokens: &Mutex<Vec<Stored>>) -> MutexGuard<'_, Vec<Stored>> {
    // A change replaces the list in one step, so it is whole even after a panic.
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<NoRandomness> for TokenStoreError {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}
