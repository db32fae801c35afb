//! A platform that signs, as strangers may write their tokens: header and claims are given as text.

use std::{process::Command, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::RSA_PKCS1_SHA256,
};
use serde_json::{Value, json};

pub(super) const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

pub(in crate::api) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn message(header: &str, claims: &str) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

pub(in crate::api) fn hs256(secret: &[u8], header: &str, claims: &str) -> String {
    let message = message(header, claims);
    let signed = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(signed))
}

/// A key pair with its PEM.
pub(in crate::api) struct Rsa {
    pair: KeyPair,
    pub(super) public_pem: Vec<u8>,
}

impl Rsa {
    pub(in crate::api) fn new(bits: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        let run = |arguments: &[&str]| {
            let done = Command::new("openssl").args(arguments).output().expect("openssl is installed");
            assert!(done.status.success(), "{done:?}");
            done.stdout
        };
        let file = path.to_str().unwrap();
        run(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}"), "-out", file]);
        let pkcs8 = run(&["pkcs8", "-topk8", "-nocrypt", "-in", file, "-outform", "DER"]);
        let public_pem = run(&["pkey", "-in", file, "-pubout"]);
        Self { pair: KeyPair::from_pkcs8(&pkcs8).unwrap(), public_pem }
    }

    pub(in crate::api) fn rs256(&self, header: &str, claims: &str) -> String {
        let message = message(header, claims);
        let mut signed = vec![0; self.pair.public().modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signed).unwrap();
        format!("{message}.{}", encode(signed))
    }

    pub(in crate::api) fn jwk(&self, kid: &str) -> Value {
        let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(self.pair.public());
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid, "n": encode(n), "e": encode(e) })
    }
}
