//! What the outside can see: metrics, and one id from a request to the worker's line.

#[path = "observability/collector.rs"]
mod collector;
#[path = "observability/counters.rs"]
mod counters;
#[path = "observability/following.rs"]
mod following;
#[path = "observability/metrics.rs"]
mod metrics;
#[path = "observability/traces.rs"]
mod traces;
