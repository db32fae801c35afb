//! A client that asks for events and never reads them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tokio::{net::TcpSocket, runtime};

use super::follower::request;
use crate::outcome::{Doing, Outcome};

/// What its system keeps for it, so that the server's side is full soon.
const KEPT: u32 = 4096;

/// It.
#[derive(Debug)]
pub(super) struct Sleeper(TcpStream);

impl Sleeper {
    pub(super) fn begin(address: SocketAddr, token: &str) -> Outcome<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let connected = runtime.block_on(async {
            let own = TcpSocket::new_v4()?;
            // Before it is connected: afterwards the window is agreed on.
            own.set_recv_buffer_size(KEPT)?;
            own.connect(address).await?.into_std()
        });
        let mut stream = connected.doing("connect a client that sleeps")?;
        stream.set_nonblocking(false)?;
        stream.write_all(request(token).as_bytes()).doing("ask for events")?;
        Ok(Self(stream))
    }

    /// Wakes up, and finds its connection closed, or does not.
    pub(super) fn was_cut_off(mut self) -> Outcome<bool> {
        self.0.set_read_timeout(Some(Duration::from_secs(2)))?;
        let (mut bytes, deadline) = (vec![0; 64 * 1024], Instant::now() + Duration::from_secs(10));
        while Instant::now() < deadline {
            match self.0.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(true),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).doing("read events late"),
            }
        }
        Ok(false)
    }
}
