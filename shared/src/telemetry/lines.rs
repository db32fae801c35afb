//! The shape of a log line: whose it is first, and every field at the top, wherever it was said.

use std::fmt::{self, Write};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{Format, Full, Json, JsonFields, Writer},
    },
    registry::{LookupSpan, Scope},
};

/// Whose lines they are: the worker and which of its processes, where it is one.
#[derive(Debug, Clone, Default)]
pub(super) struct Whose {
    pub(super) worker: Option<String>,
    pub(super) incarnation: Option<u64>,
}

/// JSON: one object a line.
pub(super) struct JsonLines {
    inner: Format<Json>,
    /// The fields of whoever writes, each with a comma behind it.
    whose: String,
}

/// Text for people.
pub(super) struct HumanLines {
    inner: Format<Full>,
    whose: String,
}

impl JsonLines {
    pub(super) fn new(whose: &Whose) -> Self {
        let inner = Format::default()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_target(false);
        let mut fields = String::new();
        if let Some(worker) = &whose.worker {
            let _ = write!(fields, "\"worker\":{},", serde_json::Value::from(worker.as_str()));
        }
        if let Some(incarnation) = whose.incarnation {
            let _ = write!(fields, "\"incarnation\":{incarnation},");
        }
        Self { inner, whose: fields }
    }
}

impl HumanLines {
    pub(super) fn new(whose: &Whose, colour: bool) -> Self {
        let incarnation = whose.incarnation.map(|number| format!("/{number}")).unwrap_or_default();
        let whose = whose.worker.as_ref().map(|worker| format!("{worker}{incarnation} ")).unwrap_or_default();
        Self { inner: Format::default().with_ansi(colour).with_target(false), whose }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let Some(rest) = line.strip_prefix('{') else { return writer.write_str(&line) };
        write!(writer, "{{{}", self.whose)?;
        // The fields of the spans around it: without them a line of a request could not be found by the request's id.
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            let fields = fields.fields.strip_prefix('{').and_then(|fields| fields.strip_suffix('}'));
            if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
                write!(writer, "{fields},")?;
            }
        }
        writer.write_str(rest)
    }
}

impl<S, N> FormatEvent<S, N> for HumanLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        writer.write_str(&self.whose)?;
        self.inner.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    fn whose() -> Whose {
        Whose { worker: Some("transform-7-1".to_owned()), incarnation: Some(3) }
    }

    #[test]
    fn a_json_line_has_worker_incarnation_and_the_fields_of_its_request_at_the_top() {
        let kept = Kept::default();
        let layer =
            tracing_subscriber::fmt::layer().json().event_format(JsonLines::new(&whose())).with_writer(kept.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("request", correlation_id = "a-1").in_scope(|| tracing::info!(tenant = 7, "told"));
            tracing::info!("outside");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["worker"], &lines[0]["incarnation"]), (&"transform-7-1".into(), &3.into()));
        assert_eq!((&lines[0]["correlation_id"], &lines[0]["tenant"]), (&"a-1".into(), &7.into()));
        assert_eq!((&lines[0]["message"], &lines[0]["level"]), (&"told".into(), &"INFO".into()));
        assert!(lines[0]["timestamp"].is_string() && lines[1]["correlation_id"].is_null(), "{text}");
        assert_eq!(lines[1]["worker"], "transform-7-1");
    }

    #[test]
    fn a_line_for_people_begins_with_the_worker() {
        let kept = Kept::default();
        let layer =
            tracing_subscriber::fmt::layer().event_format(HumanLines::new(&whose(), false)).with_writer(kept.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info_span!("request", correlation_id = "a-1").in_scope(|| tracing::info!("told"));
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("transform-7-1/3 ") && text.contains("told") && text.contains("a-1"), "{text}");
    }
}
