//! How a worker gets its secrets: never from its arguments, and from the environment only when somebody starts it by hand.

use std::{
    env, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    amqp,
    environment::CREDENTIALS_FD,
    inherited_fd, postgres,
    suspicion::Suspicions,
    tls::{Authorities, AuthoritiesError},
};

/// Where a worker connects to, each with the secrets inside the URL.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// `amqp://user:password@host:port/vhost`
    pub amqp_url: SecretString,
    /// `postgres://user:password@host:port/database`
    pub database_url: SecretString,
    /// Certificates (PEM) that the broker's is checked with: a worker that may not read the file that its URL names has them here.
    pub broker_ca: Option<String>,
    /// Certificates (PEM) that the database's is checked with.
    pub database_ca: Option<String>,
    /// They are new: the worker logs in to the database, too, before it says that it is ready. Otherwise it does so when it has work.
    pub prove: bool,
}

/// The form in the memory file. Not public, so that nobody serialises secrets by accident.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amqp_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    broker_ca: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database_ca: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    prove: bool,
    #[serde(default, skip_serializing_if = "Suspicions::is_empty")]
    suspicions: Suspicions,
}

/// The credentials could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// None of the three sources has it.
    #[error("no {name}: set ${variable}, or put a file {name} into $CREDENTIALS_DIRECTORY")]
    Missing {
        /// Which of the two.
        name: &'static str,
        /// The environment variable that would hold it.
        variable: &'static str,
    },
    /// A file that should hold a secret cannot be read.
    #[error("cannot read the secret in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The URL that the secret belongs to has no place for it.
    #[error(
        "the password in {} has no place in the URL: write the URL as amqp://USER@HOST:PORT/VHOST or postgres://USER@HOST:PORT/DATABASE",
        path.display()
    )]
    NoPlace {
        /// The file with the password.
        path: PathBuf,
    },
    /// The file with the authorities' certificates that a URL names is of no use.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The descriptor left by the supervisor does not hold what it should. The cause is not kept: it could quote a secret.
    #[error("the credentials handed over by the supervisor (${CREDENTIALS_FD}) cannot be read")]
    BadHandover,
}

impl Credentials {
    /// With these URLs, and with the certificates of the files that they name, read now.
    pub fn new(amqp_url: SecretString, database_url: SecretString) -> Result<Self, CredentialsError> {
        let broker_ca = broker_ca(&amqp_url)?;
        let database_ca = database_ca(&database_url)?;
        Ok(Self { amqp_url, database_url, broker_ca, database_ca, prove: false })
    }

    /// From the descriptor left by the supervisor; what is not there, file by file from `$CREDENTIALS_DIRECTORY`, else from
    /// `$AMQP_URL` and `$DATABASE_URL`. With them comes what the supervisor suspects messages of; whoever starts a worker by hand suspects none.
    pub fn load() -> Result<(Self, Suspicions), CredentialsError> {
        if env::var_os(CREDENTIALS_FD).is_some() {
            let fd = inherited_fd::take(CREDENTIALS_FD).ok_or(CredentialsError::BadHandover)?;
            let mut text = String::new();
            let mut file = fs::File::from(fd);
            io::Seek::rewind(&mut file).map_err(|_| CredentialsError::BadHandover)?;
            file.read_to_string(&mut text).map_err(|_| CredentialsError::BadHandover)?;
            return Self::from_handover(&text);
        }
        Ok((Self::new(find_amqp_url()?, Self::load_database_url()?)?, Suspicions::default()))
    }

    /// The database's alone, for a run that needs no broker.
    pub fn load_database_url() -> Result<SecretString, CredentialsError> {
        let directory = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        find("database_url", "DATABASE_URL", directory.as_deref())
    }

    /// What the supervisor writes into the memory file.
    pub fn to_handover(&self, suspicions: Suspicions) -> SecretString {
        let wire = Wire {
            suspicions,
            prove: self.prove,
            amqp_url: Some(self.amqp_url.expose_secret().to_owned()),
            database_url: Some(self.database_url.expose_secret().to_owned()),
            broker_ca: self.broker_ca.clone(),
            database_ca: self.database_ca.clone(),
        };
        wire.to_document()
    }

    fn from_handover(text: &str) -> Result<(Self, Suspicions), CredentialsError> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| CredentialsError::BadHandover)?;
        let amqp_url = wire.amqp_url.map_or_else(find_amqp_url, |url| Ok(url.into()))?;
        let database_url = wire.database_url.map_or_else(Self::load_database_url, |url| Ok(url.into()))?;
        // What was handed over is not looked for in files, which this process may not be allowed to read.
        let broker_ca = wire.broker_ca.map_or_else(|| broker_ca(&amqp_url), |text| Ok(Some(text)))?;
        let database_ca = wire.database_ca.map_or_else(|| database_ca(&database_url), |text| Ok(Some(text)))?;
        let credentials = Self { amqp_url, database_url, broker_ca, database_ca, prove: wire.prove };
        Ok((credentials, wire.suspicions))
    }
}

impl Wire {
    fn to_document(&self) -> SecretString {
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

/// What the supervisor writes into the memory file where it has no credentials to hand over.
pub fn handover_without_credentials(suspicions: Suspicions) -> SecretString {
    Wire { amqp_url: None, database_url: None, broker_ca: None, database_ca: None, prove: false, suspicions }
        .to_document()
}

/// The certificates of the file that the URL names; none where it asks for no TLS. Whether it is a URL at all is somebody else's question.
fn broker_ca(url: &SecretString) -> Result<Option<String>, AuthoritiesError> {
    match amqp::parse_url(url) {
        Ok(address) if address.is_encrypted() => text_of(&address.authorities),
        _ => Ok(None),
    }
}

fn database_ca(url: &SecretString) -> Result<Option<String>, AuthoritiesError> {
    match postgres::parse_url(url) {
        Ok(address) if address.is_encrypted() => text_of(&address.authorities),
        _ => Ok(None),
    }
}

fn text_of(authorities: &Authorities) -> Result<Option<String>, AuthoritiesError> {
    match authorities {
        Authorities::File(path) => Authorities::text_of(path).map(Some),
        Authorities::System | Authorities::Text(_) => Ok(None),
    }
}

fn find_amqp_url() -> Result<SecretString, CredentialsError> {
    let directory = env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    find("amqp_url", "AMQP_URL", directory.as_deref())
}

/// A secret from a file, without the line end that editors leave behind.
pub fn read_secret_file(path: &Path) -> Result<SecretString, CredentialsError> {
    let text =
        fs::read_to_string(path).map_err(|source| CredentialsError::Unreadable { path: path.to_owned(), source })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

fn find(
    name: &'static str,
    variable: &'static str,
    directory: Option<&Path>,
) -> Result<SecretString, CredentialsError> {
    if let Some(path) = directory.map(|directory| directory.join(name)).filter(|path| path.exists()) {
        return read_secret_file(&path);
    }
    match env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(value.into()),
        _ => Err(CredentialsError::Missing { name, variable }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flight::Mark;

    fn of(amqp_url: &str, database_url: &str) -> Credentials {
        Credentials::new(amqp_url.to_owned().into(), database_url.to_owned().into()).unwrap()
    }

    #[test]
    fn certificates_that_were_handed_over_are_used_and_no_file_is_read() {
        let absent = "amqps://a:b@h/?cacertfile=/nonexistent/ca.pem";
        assert!(Credentials::new(absent.to_owned().into(), "x".to_owned().into()).is_err());
        let mut given = of("amqps://a:b@h/", "postgres://a@h/d?sslmode=require");
        given.amqp_url = absent.to_owned().into();
        given.broker_ca = Some("PEM".to_owned());
        let document = given.to_handover(Suspicions::default());
        let (taken, _) = Credentials::from_handover(document.expose_secret()).unwrap();
        assert_eq!((taken.broker_ca.as_deref(), taken.database_ca), (Some("PEM"), None));
    }

    #[test]
    fn what_the_supervisor_hands_over_is_what_the_worker_reads() {
        let given = Credentials { prove: true, ..of("amqp://a:b@h/", "postgres://p") };
        let suspicions =
            Suspicions { suspects: vec![Mark { raw_data_id: 5, fingerprint: u64::MAX }], condemned: vec![] };
        let handover = given.to_handover(suspicions.clone());
        let (taken, suspected) = Credentials::from_handover(handover.expose_secret()).unwrap();
        assert_eq!(taken.amqp_url.expose_secret(), "amqp://a:b@h/");
        assert_eq!(taken.database_url.expose_secret(), "postgres://p");
        assert_eq!(suspected, suspicions);
        assert!(taken.prove);
    }

    #[test]
    fn where_nothing_is_suspected_the_document_is_what_it_always_was() {
        let given = of("a", "b");
        let document = given.to_handover(Suspicions::default());
        assert_eq!(document.expose_secret(), r#"{"amqp_url":"a","database_url":"b"}"#);
        assert!(Credentials::from_handover(document.expose_secret()).unwrap().1.is_empty());
    }

    #[test]
    fn what_is_not_handed_over_is_looked_for_elsewhere() {
        let suspicions = Suspicions { suspects: vec![Mark { raw_data_id: 5, fingerprint: 7 }], condemned: vec![] };
        let document = handover_without_credentials(suspicions);
        assert!(!document.expose_secret().contains("url"));
        // Read well, and then there is no environment variable: no broken handover.
        match Credentials::from_handover(document.expose_secret()) {
            Err(CredentialsError::Missing { .. }) => {}
            Ok((_, suspected)) => assert_eq!(suspected.suspects.len(), 1, "whoever runs this test has set them"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn no_debug_output_shows_a_secret() {
        let given = of("amqp://a:hunter2@h/", "x");
        assert!(!format!("{given:?}").contains("hunter2"));
    }

    #[test]
    fn a_secret_file_that_cannot_be_read_is_named() {
        let error = read_secret_file(Path::new("/nonexistent/secret")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/secret"));
    }
}
