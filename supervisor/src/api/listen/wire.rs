//! The bytes of one connection. Who takes nothing of its answer for a while is cut off: nobody keeps it, nor a seat, for them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Sleep, sleep},
};

use super::seat::Seat;

/// A socket may take nothing for so long while it has an answer to take. It needs no token to ask for something large, so whoever
/// asks and does not read would hold a seat for ever.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a follower's: what is not read by then, it has missed.
const PATIENCE_WITH_FOLLOWERS: Duration = Duration::from_secs(10);
/// What the system keeps for a follower that does not read, in bytes; the kernel doubles it for its own needs.
const KEPT_FOR_A_FOLLOWER: usize = 64 * 1024;

/// A socket.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {
    /// Has the system keep little of what the other end does not read.
    fn keep_little(&self);
}

impl Wire for TcpStream {
    fn keep_little(&self) {
        let _ = setsockopt(self, SndBuf, &KEPT_FOR_A_FOLLOWER);
    }
}

impl Wire for UnixStream {
    fn keep_little(&self) {
        let _ = setsockopt(self, SndBuf, &KEPT_FOR_A_FOLLOWER);
    }
}

/// A socket with the seat of the client at its other end.
pub(super) struct Line {
    wire: Box<dyn Wire>,
    seat: Arc<Seat>,
    keeps_little: bool,
    /// With others, and with followers.
    patience: [Duration; 2],
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Line {
    pub(super) fn new(wire: Box<dyn Wire>, seat: Arc<Seat>) -> Self {
        Self { wire, seat, keeps_little: false, patience: [PATIENCE, PATIENCE_WITH_FOLLOWERS], stalled: None }
    }

    fn watched<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience[usize::from(self.seat.follows())];
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }

    fn before_writing(&mut self) {
        if !self.keeps_little && self.seat.follows() {
            self.wire.keep_little();
            self.keeps_little = true;
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_read(context, into)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.before_writing();
        let written = Pin::new(&mut line.wire).poll_write(context, bytes);
        line.watched(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.before_writing();
        let written = Pin::new(&mut line.wire).poll_write_vectored(context, pieces);
        line.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        let flushed = Pin::new(&mut line.wire).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            // HTTP flushes when it has handed over all that there was to write.
            line.seat.sent();
        }
        line.watched(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt,
        time::{Instant, timeout},
    };

    use super::{super::seat::Seats, *};
    use crate::api::authorize::Caller;

    #[tokio::test]
    async fn nobody_who_does_not_read_is_waited_for_for_ever() {
        let (short, long) = (Duration::from_millis(100), Duration::from_hours(1));
        for (follows, patience) in [(false, [short, long]), (true, [long, short])] {
            let seat = Seats::new().enter().await;
            seat.take().await.unwrap();
            if follows {
                seat.follow(&Caller::Machine { uid: 0 }).unwrap();
            }
            let (ours, _theirs) = UnixStream::pair().unwrap();
            let mut line = Line { patience, ..Line::new(Box::new(ours), seat) };
            let (began, bytes) = (Instant::now(), vec![0; 16 * 1024 * 1024]);
            let written = timeout(Duration::from_secs(20), line.write_all(&bytes)).await;
            let error = written.expect("it is waited for").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() >= short);
        }
    }
}
