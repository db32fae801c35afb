//! Secrets that are handed out once and kept as hashes.

use sha2::{Digest, Sha256};

/// Bytes of a secret: 256 bits, so that its plain hash cannot be searched.
pub(super) const SECRET_BYTES: usize = 32;

/// The system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRandomness;

/// What is kept of a secret: its SHA-256, in hexadecimal digits.
pub(super) fn hash(secret: &str) -> String {
    digits(&Sha256::digest(secret.as_bytes()))
}

/// Something that nobody can guess, in hexadecimal digits.
pub(super) fn random_digits<const BYTES: usize>() -> Result<String, NoRandomness> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(digits(&bytes))
}

/// Bytes in hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
