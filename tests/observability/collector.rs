//! A collector that takes traces by OTLP over HTTP, as JSON, and keeps them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

/// A span as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: String,
    /// Nanoseconds since 1970.
    pub(crate) times: (u64, u64),
    pub(crate) attributes: Vec<(String, String)>,
}

/// Listens until its test is over.
pub(crate) struct Collector {
    pub(crate) endpoint: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&arrived);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request| take(request, Arc::clone(&kept)));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint, arrived }
    }

    /// What has come so far.
    pub(crate) fn spans(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("nobody panics with it").clone()
    }
}

async fn take(
    request: Request<hyper::body::Incoming>,
    kept: Arc<Mutex<Vec<Arrived>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    assert_eq!(request.uri().path(), "/v1/traces");
    assert_eq!(request.headers()["content-type"], "application/json");
    let body = request.into_body().collect().await.expect("a whole body").to_bytes();
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    kept.lock().expect("nobody panics with it").extend(read(&body));
    Ok(Response::new(Full::new(Bytes::from_static(b"{}"))))
}

fn read(body: &Value) -> Vec<Arrived> {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attributes = |value: &Value| -> Vec<(String, String)> {
        list(value, "attributes").iter().map(|one| (text(&one["key"]), text(&one["value"]["stringValue"]))).collect()
    };
    let time = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
    let mut all = Vec::new();
    for resource in list(body, "resourceSpans") {
        let of_service = attributes(&resource["resource"]);
        let service = of_service.iter().find(|(name, _)| name == "service.name").map(|(_, name)| name.clone());
        for span in list(&resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
            all.push(Arrived {
                service: service.clone().unwrap_or_default(),
                name: text(&span["name"]),
                trace: text(&span["traceId"]),
                span: text(&span["spanId"]),
                parent: text(&span["parentSpanId"]),
                times: (time(&span["startTimeUnixNano"]), time(&span["endTimeUnixNano"])),
                attributes: attributes(&span),
            });
        }
    }
    all
}
