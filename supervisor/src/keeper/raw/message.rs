//! Receiving a message together with the descriptors and the sender that travel beside it.

use std::{
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg},
    unistd::Pid,
};
use tokio::io::unix::AsyncFd;

/// Most descriptors that the kernel lets travel with one message.
const MAX_DESCRIPTORS: usize = 253;

/// Room for everything that can travel beside a message, so that nothing is ever cut off and lost to us while open.
pub(in crate::keeper) struct Control(Vec<u8>);

impl Control {
    /// Empty.
    pub(in crate::keeper) fn new() -> Self {
        Self(cmsg_space!([RawFd; MAX_DESCRIPTORS], UnixCredentials))
    }
}

/// What came.
pub(in crate::keeper) struct Message {
    /// How much of the buffer is filled.
    pub(in crate::keeper) length: usize,
    /// The message was larger than the buffer.
    pub(in crate::keeper) cut: bool,
    /// Descriptors that came with it.
    pub(in crate::keeper) descriptors: Vec<OwnedFd>,
    /// Who sent it, where the socket asks for that.
    pub(in crate::keeper) sender: Option<Pid>,
}

/// Puts a socket under the eye of the runtime. It must stay where it is put: nobody may exchange the descriptor inside.
pub(in crate::keeper) fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is open, owned by what is returned, and neither closed nor exchanged before that is dropped.
    unsafe { AsyncFd::register(socket) }.map_err(Into::into)
}

/// Receives one message without waiting.
pub(in crate::keeper) fn receive(socket: &impl AsFd, buffer: &mut [u8], control: &mut Control) -> nix::Result<Message> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let received = loop {
        match recvmsg::<()>(socket.as_fd().as_raw_fd(), &mut parts, Some(&mut control.0), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let mut message = Message {
        length: received.bytes,
        cut: received.flags.contains(MsgFlags::MSG_TRUNC),
        descriptors: Vec::new(),
        sender: None,
    };
    for item in received.cmsgs()? {
        match item {
            ControlMessageOwned::ScmRights(numbers) => {
                // SAFETY: the kernel has just opened these for us, each once, and nothing else knows of them.
                message.descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
            }
            ControlMessageOwned::ScmCredentials(sender) => message.sender = Some(Pid::from_raw(sender.pid())),
            _ => {}
        }
    }
    Ok(message)
}
