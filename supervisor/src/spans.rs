//! Spans for whoever draws traces: those of requests and of what they publish, and those that workers tell of.
//!
//! Whoever makes a span hands it to a queue of limited length and goes on; where the collector is slow or away, spans are lost and
//! nothing else. Without `[telemetry] otlp_endpoint` there is no queue, no socket and no task.

use std::time::{Duration, SystemTime};

use etl_shared::trace::{Origin, SpanRecord, TraceContext};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

mod export;
mod workers;

pub use export::Exporter;

/// Spans that wait to be sent.
const WAITING: usize = 2048;

/// What kind of work a span stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that was answered.
    Server,
    /// Messages that were published.
    Producer,
    /// A message that a worker has served.
    Consumer,
}

/// A piece of work that is over.
#[derive(Debug, Clone)]
pub struct Span {
    /// What it was.
    pub name: String,
    /// What kind of work.
    pub kind: Kind,
    /// Its own place in the trace.
    pub context: TraceContext,
    /// The span that led to it, 0 where none did.
    pub parent: u64,
    /// When it began.
    pub started: SystemTime,
    /// When it was over.
    pub ended: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, String)>,
    /// Whether it failed.
    pub failed: bool,
}

/// What lies in the queue.
#[derive(Debug)]
enum Queued {
    Span(Box<Span>),
    /// Somebody waits until everything before it has been sent.
    Flush(oneshot::Sender<()>),
}

/// Where spans are handed in.
#[derive(Debug, Clone, Default)]
pub struct Spans(Option<mpsc::Sender<Queued>>);

/// A piece of work that has begun.
#[derive(Debug)]
pub struct Begun {
    name: &'static str,
    parent: u64,
    started: SystemTime,
    /// Where what it leads to comes from.
    pub origin: Origin,
}

impl Spans {
    /// A queue, and its other end.
    fn queue() -> (Self, mpsc::Receiver<Queued>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(Some(sender)), receiver)
    }

    /// Whether anybody takes them.
    pub const fn are_exported(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a span of a trace that is recorded; forgets it where nobody takes it, or not fast enough.
    pub fn record(&self, span: Span) {
        if let Some(queue) = self.0.as_ref().filter(|_| span.context.sampled) {
            let _ = queue.try_send(Queued::Span(Box::new(span)));
        }
    }

    /// Waits until everything that was handed in until now is sent, but not for long.
    pub async fn flush(&self, within: Duration) {
        let Some(queue) = &self.0 else { return };
        let (done, sent) = oneshot::channel();
        let flush = async {
            if queue.send(Queued::Flush(done)).await.is_ok() {
                let _ = sent.await;
            }
        };
        let _ = time::timeout(within, flush).await;
    }

    /// Begins to publish something that comes from there.
    pub fn publishing(&self, name: &'static str, mut origin: Origin) -> Begun {
        let parent = origin.trace.map_or(0, |trace| trace.span);
        if self.are_exported() {
            origin.trace = origin.trace.map(|trace| trace.child(rand::random()));
        }
        Begun { name, parent, started: SystemTime::now(), origin }
    }

    /// It has been published.
    pub fn published(&self, begun: Begun, attributes: Vec<(&'static str, String)>) {
        let Begun { name, parent, started, origin } = begun;
        if let Some(context) = origin.trace {
            let (name, kind, ended) = (name.to_owned(), Kind::Producer, SystemTime::now());
            self.record(Span { name, kind, context, parent, started, ended, attributes, failed: false });
        }
    }
}

/// What a worker has told, as a span; `None` where it belongs to no trace.
fn told(record: SpanRecord) -> Option<Span> {
    let parent = TraceContext::parse(&record.parent)?;
    let mut attributes = vec![
        ("messaging.system", "rabbitmq".to_owned()),
        ("messaging.destination.name", record.queue),
        // Nobody has checked that it is this one which tells.
        ("etl.claimed_by", "worker".to_owned()),
        ("etl.worker", record.worker),
        ("etl.incarnation", record.incarnation.to_string()),
        ("etl.raw_data_id", record.raw_data_id.to_string()),
        ("etl.outcome", record.outcome),
    ];
    attributes.extend(record.correlation_id.map(|id| ("etl.correlation_id", id)));
    let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    Some(Span {
        name: format!("transform {}", record.kind),
        kind: Kind::Consumer,
        context: parent.child(rand::random()),
        parent: parent.span,
        started: at(record.started_us),
        ended: at(record.ended_us.max(record.started_us)),
        attributes,
        failed: record.failed,
    })
}
