//! Secrets on their way to a worker: a file in memory that nobody can change any more.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, SealFlag, fcntl},
    libc,
    sys::memfd::{MFdFlags, memfd_create},
};
use secrecy::{ExposeSecret, SecretString};

/// Puts a secret into a sealed memory file, to go with [`Request::Spawn`](super::protocol::Request::Spawn).
pub fn credentials_memfd(secret: &SecretString) -> io::Result<OwnedFd> {
    let mut file = File::from(create()?);
    file.write_all(secret.expose_secret().as_bytes())?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Whether this is a file that nobody can change any more, such as [`credentials_memfd`] makes. Anything else could be a way to talk
/// to a worker, or would keep something open for as long as it lives.
pub(super) fn is_sealed(file: &impl AsFd) -> bool {
    let needed = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK;
    fcntl(file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_truncate(seals).contains(needed))
}

fn create() -> nix::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let not_executable = MFdFlags::from_bits_retain(libc::MFD_NOEXEC_SEAL);
    match memfd_create("credentials", flags | not_executable) {
        // Before Linux 6.3.
        Err(Errno::EINVAL) => memfd_create("credentials", flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_secret_can_be_read_and_not_be_changed() {
        let mut file = File::from(credentials_memfd(&"hunter2".to_owned().into()).unwrap());
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hunter2");
        assert_eq!(file.write(b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(file.set_len(0).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(is_sealed(&file));
        assert!(!is_sealed(&File::open("/dev/null").unwrap()) && !is_sealed(&create().unwrap()));
    }
}
