//! All clients that follow, on a thread of their own.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use etl_shared::api::FleetEvent;
use tokio::{runtime, sync::watch, task::JoinSet};

use super::follower::{Heard, connect, read};
use crate::outcome::{Doing, Outcome};

/// The clients, listening.
#[derive(Debug)]
pub(super) struct Followers {
    stop: watch::Sender<bool>,
    thread: JoinHandle<Result<Vec<Heard>, String>>,
}

/// What all of them have heard.
#[derive(Debug)]
pub(super) struct AllHeard {
    /// The events, from when the last client was connected.
    pub(super) told: Vec<FleetEvent>,
    /// Of these, what clients did not get, or not in this order.
    pub(super) missing: usize,
    /// Of every event and client, in milliseconds.
    pub(super) delays: Vec<f64>,
}

impl Followers {
    /// Begins; every client is connected when this returns.
    pub(super) fn begin(address: SocketAddr, token: &str, count: usize) -> Outcome<Self> {
        let (stop, stopped) = watch::channel(false);
        let (ready, all_ready) = mpsc::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let token = token.to_owned();
        let follow = async move {
            let mut clients = JoinSet::new();
            for number in 0..count {
                let mut heard = Heard::new(number == 0);
                let (mut stream, mut stopped) = (connect(address, &token, &mut heard).await?, stopped.clone());
                clients.spawn(async move {
                    loop {
                        tokio::select! {
                            read = read(&mut stream, &mut heard) => read.map_err(|why| format!("client {number}: {why}"))?,
                            _ = stopped.wait_for(|stop| *stop) => return Ok::<_, String>(heard),
                        }
                    }
                });
            }
            let _ = ready.send(());
            let mut all = Vec::with_capacity(count);
            while let Some(ended) = clients.join_next().await {
                all.push(ended.map_err(|error| error.to_string()).flatten()?);
            }
            Ok(all)
        };
        let thread = thread::Builder::new().name("followers".to_owned()).spawn(move || runtime.block_on(follow))?;
        match all_ready.recv() {
            Ok(()) => Ok(Self { stop, thread }),
            Err(_) => Err(format!("follow events: {:?}", thread.join().map(Result::err))).doing("begin"),
        }
    }

    /// What they have heard; an error where one of them was cut off.
    pub(super) fn end(self) -> Outcome<AllHeard> {
        self.stop.send_replace(true);
        let all = self.thread.join().map_err(|_| "the clients' thread has panicked")?.doing("follow events")?;
        // Who came first has heard of what happened before the last one came.
        let everybody = all.iter().filter_map(|heard| heard.ids.first()).max().copied().unwrap_or(0);
        let whole = all.iter().find_map(|heard| heard.text.as_deref()).ok_or("nobody has kept the events")?;
        let told: Result<Vec<FleetEvent>, _> = whole.lines().map(serde_json::from_str).collect();
        let told: Vec<_> = told?.into_iter().filter(|event: &FleetEvent| event.id >= everybody).collect();
        let expected: Vec<u64> = told.iter().map(|event| event.id).collect();
        let missing = all.iter().map(|heard| {
            let from = heard.ids.partition_point(|id| *id < everybody);
            let right = heard.ids[from..].iter().zip(&expected).take_while(|(one, other)| one == other).count();
            expected.len().max(heard.ids.len() - from) - right
        });
        let missing = missing.sum();
        #[expect(clippy::cast_precision_loss, reason = "some seconds")]
        let delays = all.iter().flat_map(|heard| &heard.delays).map(|micros| *micros as f64 / 1000.0).collect();
        Ok(AllHeard { told, missing, delays })
    }
}
