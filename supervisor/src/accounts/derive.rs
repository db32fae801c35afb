//! Passwords that nobody stores.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use etl_shared::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Fewer characters are no secret.
const LEAST_LENGTH: usize = 32;

/// The one secret that all others come from.
#[derive(Debug, Clone)]
pub struct MasterKey(SecretString);

/// What a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A user of the broker.
    Broker,
    /// A role of the database.
    Database,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The file cannot be read.
    #[error("cannot read the master key in {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Everybody may read it.
    #[error("everybody may read the master key in {}: chmod 0600 it, and make a new one (openssl rand -hex 32)", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// It can be guessed.
    #[error("the master key in {} is shorter than {LEAST_LENGTH} characters: make one with openssl rand -hex 32", path.display())]
    TooShort {
        /// Which.
        path: PathBuf,
    },
}

impl MasterKey {
    /// From its file; blanks and line ends around it do not count.
    pub fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let path = path.to_owned();
        let read = || Ok((fs::metadata(&path)?.mode(), fs::read_to_string(&path)?));
        let (mode, text) = match read() {
            Ok(read) => read,
            Err(source) => return Err(MasterKeyError::Unreadable { path, source }),
        };
        if mode & 0o007 != 0 {
            return Err(MasterKeyError::Exposed { path });
        }
        let key = SecretString::from(text.trim().to_owned());
        if key.expose_secret().len() < LEAST_LENGTH {
            return Err(MasterKeyError::TooShort { path });
        }
        Ok(Self(key))
    }

    /// Tells this key from another one and nothing else: accounts are recorded with it, so that a new key is noticed.
    pub fn fingerprint(&self) -> String {
        let mut mac = self.mac();
        mac.update(b"etl-supervisor fingerprint");
        BASE64_URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..9])
    }

    /// The password of a tenant's account: 256 bits, in characters that need no escaping in a URL.
    pub fn password(&self, kind: Kind, tenant: TenantId, generation: u32) -> SecretString {
        let kind = match kind {
            Kind::Broker => "broker",
            Kind::Database => "database",
        };
        let mut mac = self.mac();
        mac.update(format!("etl-supervisor password\n{kind}\n{tenant}\n{generation}").as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()).into()
    }

    fn mac(&self) -> Hmac<Sha256> {
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()) else {
            unreachable!("a key of any length will do")
        };
        mac
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(text: &str, mode: u32) -> Result<MasterKey, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        MasterKey::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn whatever_differs_gives_another_password_and_the_same_gives_the_same() {
        let (one, other) = (key(&"k".repeat(32), 0o600).unwrap(), key(&"o".repeat(32), 0o640).unwrap());
        let tenant = |id: i64| TenantId::try_from(id).unwrap();
        let password = |key: &MasterKey, kind, id, generation| {
            key.password(kind, tenant(id), generation).expose_secret().to_owned()
        };
        let first = password(&one, Kind::Broker, 1, 1);
        assert_eq!(first.len(), 43);
        assert_eq!(first, password(&one, Kind::Broker, 1, 1));
        for different in [
            password(&other, Kind::Broker, 1, 1),
            password(&one, Kind::Database, 1, 1),
            password(&one, Kind::Broker, 11, 1),
            password(&one, Kind::Broker, 1, 11),
        ] {
            assert_ne!(first, different);
        }
        assert_eq!(one.fingerprint(), one.clone().fingerprint());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }

    #[test]
    fn a_key_that_is_none_is_refused_with_what_to_do() {
        assert!(key(&"k".repeat(31), 0o600).unwrap_err().contains("openssl rand -hex 32"));
        assert!(key(&"k".repeat(64), 0o644).unwrap_err().contains("chmod 0600"));
        assert!(MasterKey::read(Path::new("/nonexistent")).unwrap_err().to_string().contains("/nonexistent"));
        assert!(!format!("{:?}", key(&"k".repeat(32), 0o600)).contains("kkk"), "no output shows it");
    }
}
