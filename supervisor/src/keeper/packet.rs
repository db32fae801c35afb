//! One end of the conversation between brain and keeper: whole packets on a non-blocking `SOCK_SEQPACKET` socket.

use std::{
    collections::VecDeque,
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};

use super::{
    protocol::MAX_PACKET,
    raw::{self, Control},
};

/// One packet that came.
#[derive(Debug)]
pub(super) enum Incoming {
    /// The document in it, and the first descriptor that came with it.
    Packet(Vec<u8>, Option<OwnedFd>),
    /// More than [`MAX_PACKET`] bytes.
    TooLarge,
}

/// Packets that wait until the other end makes room, in the order in which they were said.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<(Vec<u8>, Option<OwnedFd>)>);

/// A place to receive into, used again for every packet.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    control: Control,
}

impl Outbox {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says something, or keeps it for later.
    pub(super) fn send(&mut self, socket: &impl AsFd, packet: Vec<u8>, fd: Option<OwnedFd>) -> nix::Result<()> {
        self.0.push_back((packet, fd));
        // Whoever waits for room is woken by the socket; trying again with every word would only cost.
        if self.0.len() == 1 { self.flush(socket) } else { Ok(()) }
    }

    /// Says what waits, as far as there is room.
    pub(super) fn flush(&mut self, socket: &impl AsFd) -> nix::Result<()> {
        while let Some((packet, fd)) = self.0.front() {
            let numbers = fd.as_ref().map(|fd| [fd.as_raw_fd()]);
            let control = numbers.as_ref().map(|numbers| [ControlMessage::ScmRights(numbers)]);
            let control: &[ControlMessage<'_>] = control.as_ref().map_or(&[], |control| control);
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(socket.as_fd().as_raw_fd(), &[IoSlice::new(packet)], control, flags, None) {
                Ok(_) => drop(self.0.pop_front()),
                Err(Errno::EINTR) => {}
                // ETOOMANYREFS: too many descriptors are under way; those have to be taken out first as well.
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ETOOMANYREFS) => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; MAX_PACKET], control: Control::new() }
    }

    /// Receives one packet; `EAGAIN` when there is none, `EPIPE` when there will never be one again.
    pub(super) fn receive(&mut self, socket: &impl AsFd) -> nix::Result<Incoming> {
        let message = match raw::receive(socket, &mut self.buffer, &mut self.control) {
            // An end that hung up without having read everything: this is said once, before what it had still to say.
            Err(Errno::ECONNRESET) => raw::receive(socket, &mut self.buffer, &mut self.control),
            other => other,
        };
        let message = message?;
        if message.cut {
            return Ok(Incoming::TooLarge);
        }
        if message.length == 0 {
            return Err(Errno::EPIPE);
        }
        Ok(Incoming::Packet(self.buffer[..message.length].to_vec(), message.descriptors.into_iter().next()))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read};

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
    }

    fn text(incoming: Incoming) -> String {
        match incoming {
            Incoming::Packet(bytes, _) => String::from_utf8(bytes).unwrap(),
            Incoming::TooLarge => "too large".to_owned(),
        }
    }

    #[test]
    fn what_a_stalled_reader_has_not_taken_is_kept_in_order() {
        let (ours, theirs) = pair();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::new());
        for number in 0..10_000 {
            outbox.send(&ours, format!("packet {number}").into(), None).unwrap();
        }
        assert!(!outbox.is_empty(), "the socket cannot have had room for all of them");
        for number in 0..10_000 {
            let incoming = loop {
                match inbox.receive(&theirs) {
                    Ok(incoming) => break incoming,
                    Err(errno) => assert_eq!(errno, Errno::EAGAIN),
                }
                outbox.flush(&ours).unwrap();
            };
            assert_eq!(text(incoming), format!("packet {number}"));
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_descriptor_travels_with_its_packet() {
        let (ours, theirs) = pair();
        let mut outbox = Outbox::default();
        outbox.send(&ours, b"with".to_vec(), Some(File::open("/proc/self/comm").unwrap().into())).unwrap();
        outbox.send(&ours, b"without".to_vec(), None).unwrap();
        let mut inbox = Inbox::new();
        let Incoming::Packet(_, Some(fd)) = inbox.receive(&theirs).unwrap() else { panic!("no descriptor") };
        let mut comm = String::new();
        File::from(fd).read_to_string(&mut comm).unwrap();
        assert!(!comm.is_empty());
        assert!(matches!(inbox.receive(&theirs), Ok(Incoming::Packet(_, None))));
    }

    #[test]
    fn a_packet_that_is_too_large_does_not_spoil_the_next_one() {
        let (ours, theirs) = pair();
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::new());
        outbox.send(&ours, vec![b'x'; MAX_PACKET + 1], None).unwrap();
        outbox.send(&ours, vec![b'y'; MAX_PACKET], None).unwrap();
        assert!(matches!(inbox.receive(&theirs), Ok(Incoming::TooLarge)));
        assert_eq!(text(inbox.receive(&theirs).unwrap()).len(), MAX_PACKET);
    }

    #[test]
    fn the_last_words_of_an_end_that_hung_up_are_heard() {
        let (ours, theirs) = pair();
        Outbox::default().send(&ours, b"hello".to_vec(), None).unwrap();
        Outbox::default().send(&theirs, b"go away".to_vec(), None).unwrap();
        drop(theirs);
        let mut inbox = Inbox::new();
        assert_eq!(text(inbox.receive(&ours).unwrap()), "go away");
        assert_eq!(inbox.receive(&ours).unwrap_err(), Errno::EPIPE);
    }
}
