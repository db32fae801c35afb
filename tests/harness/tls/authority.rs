//! An authority of a test's own, which signs whatever the test wants to see refused.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

/// An authority; its certificate lies in a file as long as this value lives.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

/// A server's certificate and its key.
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Nobody has heard of it before.
    pub fn new() -> Self {
        let mut wanted = CertificateParams::new(Vec::new()).expect("no names are valid names");
        wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        wanted.distinguished_name.push(DnType::CommonName, "authority of a test");
        let key = KeyPair::generate().expect("a key");
        let certificate = wanted.self_signed(&key).expect("an authority signs itself");
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).expect("a file for the certificate");
        Self { issuer: Issuer::new(wanted, key), directory }
    }

    /// The file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for these names.
    pub fn signs(&self, names: &[&str]) -> Identity {
        self.signs_until(names, 2100)
    }

    /// One that expired long ago.
    pub fn signs_expired(&self, names: &[&str]) -> Identity {
        self.signs_until(names, 2001)
    }

    fn signs_until(&self, names: &[&str], year: i32) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut wanted = CertificateParams::new(names).expect("valid names");
        wanted.not_before = date_time_ymd(2000, 1, 1);
        wanted.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = wanted.signed_by(&key, &self.issuer).expect("an authority signs");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in its usual form");
        Identity { certificate: certificate.der().clone(), key }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
