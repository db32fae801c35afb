//! What connects a request with everything that it leads to: a correlation id for people who search logs, and W3C Trace
//! Context for programs that draw traces. Both travel in headers, of HTTP and of AMQP alike.

use std::fmt;

mod record;

pub use record::SpanRecord;

/// Header of a message with its correlation id; HTTP's is `X-Request-Id`.
pub const CORRELATION_ID: &str = "x-correlation-id";
/// Header with the trace and the span that a message or request belongs to.
pub const TRACEPARENT: &str = "traceparent";
/// Header with what vendors add to a trace; handed on as it is.
pub const TRACESTATE: &str = "tracestate";

/// Longest correlation id.
const LONGEST_ID: usize = 64;
/// Longest `tracestate` that has to be handed on.
const LONGEST_STATE: usize = 512;

/// Whether this can stand in a log line and a header without harm: 1 to 64 of `A-Za-z0-9._-`.
pub fn is_correlation_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// A span's place in a trace: the contents of `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; never zero.
    pub trace: u128,
    /// The span in it; never zero.
    pub span: u64,
    /// Whether somebody records the trace.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`; `None` where it is malformed, which means that there is no trace.
    pub fn parse(text: &str) -> Option<Self> {
        // A later version may add something behind, after another dash.
        let (version, rest) = text.trim().split_once('-')?;
        let mut fields = rest.split('-');
        let (trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?);
        let hexadecimal = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let readable =
            hexadecimal(version, 2) && hexadecimal(trace, 32) && hexadecimal(span, 16) && hexadecimal(flags, 2);
        if !readable || version == "ff" || (version == "00" && fields.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|span| *span != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        Some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// The trace's id as it is written.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn child(&self, span: u64) -> Self {
        // Zero is no span; by chance it comes once in 2^64.
        Self { span: span.max(1), ..*self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Where a message or a piece of work comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The id of the request that led to it.
    pub correlation_id: Option<String>,
    /// The span that led to it.
    pub trace: Option<TraceContext>,
    /// What vendors added.
    pub state: Option<String>,
}

impl Origin {
    /// What headers say, given a way to look one up; what is malformed counts as absent.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let trace = header(TRACEPARENT).and_then(TraceContext::parse);
        let state = header(TRACESTATE).filter(|state| {
            trace.is_some() && state.len() <= LONGEST_STATE && state.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        });
        Self {
            correlation_id: header(CORRELATION_ID).filter(|id| is_correlation_id(id)).map(str::to_owned),
            trace,
            state: state.map(str::to_owned),
        }
    }

    /// The headers that hand it on.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let trace = self.trace.map(|trace| trace.to_string());
        [(CORRELATION_ID, self.correlation_id.clone()), (TRACEPARENT, trace), (TRACESTATE, self.state.clone())]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_context_is_read_as_it_is_written() {
        let context = TraceContext::parse(PARENT).unwrap();
        assert_eq!(context.to_string(), PARENT);
        assert_eq!((context.span, context.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-brings";
        assert_eq!(TraceContext::parse(later), Some(TraceContext { sampled: false, ..context }));
    }

    #[test]
    fn what_is_no_trace_context_is_none() {
        for wrong in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_origin_survives_its_headers_and_what_is_malformed_is_left_out() {
        let origin = Origin {
            correlation_id: Some("order-7.x_Y".to_owned()),
            trace: TraceContext::parse(PARENT),
            state: Some("vendor=1".to_owned()),
        };
        let headers: Vec<_> = origin.headers().collect();
        let look = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert_eq!(Origin::read(look), origin);
        let wrong = |name: &str| match name {
            CORRELATION_ID => Some("two words"),
            TRACEPARENT => Some("x"),
            _ => Some("vendor=1"),
        };
        assert_eq!(Origin::read(wrong), Origin::default());
        for id in ["", "a\nb", "ü", &"x".repeat(65)] {
            assert!(!is_correlation_id(id), "{id:?}");
        }
    }
}
