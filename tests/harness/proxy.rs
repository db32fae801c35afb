//! A TCP proxy that a test can block in either direction.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

/// Forwards connections to one address until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    holding: bool,
    ended: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// To `host:port`.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the listener has an address").to_string();
        let state = Arc::new(State::default());
        let (target, shared) = (target.to_owned(), Arc::clone(&state));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.lock().ended {
                    return;
                }
                if let Ok(server) = TcpStream::connect(&target) {
                    shared.join(&client, &server);
                }
            }
        });
        Self { address, state }
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// From now on nothing that a client sends arrives; what the server sends still does.
    pub fn hold_what_clients_send(&self) {
        self.state.lock().holding = true;
    }

    /// Ends every connection, with whatever was held; new ones are served as at the beginning.
    pub fn cut(&self) {
        let mut inner = self.state.lock();
        for stream in inner.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        inner.holding = false;
        drop(inner);
        self.state.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.lock().ended = true;
        self.cut();
        // The listener's thread waits for a connection.
        let _ = TcpStream::connect(&self.address);
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, client: &TcpStream, server: &TcpStream) {
        let copy = |stream: &TcpStream| stream.try_clone().ok();
        let (Some(client_in), Some(client_out), Some(server_in), Some(server_out)) =
            (copy(client), copy(client), copy(server), copy(server))
        else {
            return;
        };
        self.lock().open.extend([client, server].into_iter().filter_map(copy));
        let up = Arc::clone(self);
        thread::spawn(move || forward(client_in, server_out, || up.wait_while_holding()));
        thread::spawn(move || forward(server_in, client_out, || ()));
    }

    fn wait_while_holding(&self) {
        let guard = self.lock();
        drop(self.changed.wait_while(guard, |inner| inner.holding && !inner.ended));
    }
}

/// What has been read before `gate` returns is forwarded after it, unless the connection was cut meanwhile.
fn forward(mut from: TcpStream, mut to: TcpStream, gate: impl Fn()) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        gate();
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
