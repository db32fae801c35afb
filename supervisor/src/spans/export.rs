//! Sends spans to a collector, some at a time.

use std::{path::PathBuf, time::Duration};

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState},
};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter as Otlp, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter, SpanLinks},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant},
};

use super::{Kind, Queued, Span, Spans, workers};
use crate::causes::in_one_line;

/// How long spans wait for company, and how many are sent together.
const TOGETHER: (Duration, usize) = (Duration::from_secs(1), 512);
/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The task that sends.
#[derive(Debug)]
pub struct Exporter {
    endpoint: String,
    socket: PathBuf,
    spans: mpsc::Receiver<Queued>,
    said: Option<String>,
}

impl Exporter {
    /// For this collector, with a socket for the workers there. Without a collector the socket of an earlier supervisor is removed,
    /// so that no worker takes the trouble.
    pub fn new(endpoint: Option<String>, socket: PathBuf) -> (Spans, Option<Self>) {
        let Some(endpoint) = endpoint else {
            let _ = workers::remove(&socket);
            return (Spans::default(), None);
        };
        let (queue, spans) = Spans::queue();
        (queue, Some(Self { endpoint, socket, spans, said: None }))
    }

    /// Until the supervisor ends.
    pub async fn run(mut self) {
        let (own, consumers) = match (self.exporter("etl-supervisor"), self.exporter("transform-worker")) {
            (Ok(own), Ok(consumers)) => (own, consumers),
            (Err(error), _) | (_, Err(error)) => {
                return tracing::error!(error = in_one_line(&error), "traces are not exported");
            }
        };
        let mut socket = workers::WorkersSocket::bind(&self.socket)
            .inspect_err(|error| tracing::warn!(%error, "workers cannot tell of their traces"))
            .ok();
        tracing::info!(endpoint = self.endpoint, "traces are exported");
        loop {
            let mut waiting: Vec<Span> = Vec::new();
            let mut until: Option<Instant> = None;
            let mut flushed: Option<oneshot::Sender<()>> = None;
            while waiting.len() < TOGETHER.1 && until.is_none_or(|until| Instant::now() < until) {
                let from_workers = async {
                    match &mut socket {
                        Some(socket) => socket.next().await,
                        None => std::future::pending().await,
                    }
                };
                let span = tokio::select! {
                    span = self.spans.recv() => match span {
                        Some(Queued::Span(span)) => *span,
                        Some(Queued::Flush(done)) => {
                            flushed = Some(done);
                            break;
                        }
                        None => return,
                    },
                    told = from_workers => match told {
                        Ok(span) => span,
                        Err(error) => {
                            tracing::warn!(%error, "workers cannot tell of their traces any longer");
                            socket = None;
                            continue;
                        }
                    },
                    () = at(until) => break,
                };
                until.get_or_insert_with(|| Instant::now() + TOGETHER.0);
                waiting.push(span);
            }
            let (consumed, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|span| span.kind == Kind::Consumer);
            self.send(&own, rest).await;
            self.send(&consumers, consumed).await;
            if let Some(done) = flushed {
                let _ = done.send(());
            }
        }
    }

    fn exporter(&self, service: &'static str) -> Result<Otlp, ExporterBuildError> {
        let builder = Otlp::builder().with_http().with_protocol(Protocol::HttpJson).with_timeout(PATIENCE);
        let mut exporter = builder.with_endpoint(format!("{}/v1/traces", self.endpoint)).build()?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder_empty().with_service_name(service).with_attribute(version);
        exporter.set_resource(&resource.build());
        Ok(exporter)
    }

    async fn send(&mut self, exporter: &Otlp, spans: Vec<Span>) {
        if spans.is_empty() {
            return;
        }
        let count = spans.len();
        let sent = time::timeout(PATIENCE, exporter.export(spans.into_iter().map(data).collect())).await;
        let problem = match sent {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(in_one_line(&error)),
            Err(_) => Some(format!("no answer for {} seconds", PATIENCE.as_secs())),
        };
        // Once, however long it lasts.
        match (&problem, &self.said) {
            (Some(problem), None) => {
                tracing::warn!(problem, spans = count, "traces are lost: the collector does not take them");
            }
            (None, Some(_)) => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        self.said = problem;
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn data(span: Span) -> SpanData {
    let flags = TraceFlags::default().with_sampled(span.context.sampled);
    SpanData {
        span_context: SpanContext::new(
            span.context.trace.into(),
            span.context.span.into(),
            flags,
            false,
            TraceState::default(),
        ),
        parent_span_id: span.parent.into(),
        parent_span_is_remote: span.kind != Kind::Producer,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        },
        name: span.name.into(),
        start_time: span.started,
        end_time: span.ended,
        attributes: span.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("etl-supervisor").build(),
    }
}
