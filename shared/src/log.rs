//! Log lines: one JSON object each, with a timestamp, as CloudWatch Logs Insights reads them, and the metrics in them.
//!
//! The stock JSON subscriber nests the message and has no timestamp. Fields of enclosing spans are not printed: a line
//! states what it is about itself, but for the invocation, which is added to every line. `infra/log-line.schema.json`
//! says which fields there are.

mod metrics;

use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde::Serializer;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use self::metrics::MetricSet;
pub use self::metrics::publish_zeros;
use crate::clock::Clock;
use crate::config::Reader;

/// Room for an ordinary line, so that it is allocated once.
const ORDINARY: usize = 1_024;

/// The current invocation, as it is logged; `None` before the first.
///
/// One for the process and no span: a process has one invocation at a time, and what the runtime says of a handler that
/// has failed is said after its end.
static INVOCATION: Mutex<Option<Vec<u8>>> = Mutex::new(None);

/// Makes this process log as `service`.
///
/// Only our own crates and errors of the runtime are printed, whatever the environment says: at TRACE the Lambda
/// runtime prints raw events, an OAuth code included.
pub fn init(service: &'static str, clock: Clock) {
    // The name of the stack: two stacks in one AWS account must not share their metrics.
    let stack = Reader::environment().text("SECRET_PREFIX", "unknown");
    tracing_subscriber::registry().with(Lines { service, stack, clock }).init();
}

/// Names an invocation that begins: every line says so from now on. The first of a process is its cold start.
pub fn invocation(request_id: &str, xray_trace_id: Option<&str>) {
    let mut current = INVOCATION.lock().unwrap_or_else(PoisonError::into_inner);
    let cold_start = current.is_none();
    let mut line = Line { text: Vec::with_capacity(160), ..Line::default() };
    line.text("function_request_id", request_id);
    // `Root=1-…;Parent=…;Sampled=0`: X-Ray knows a trace by its root.
    if let Some(root) = xray_trace_id.and_then(|id| id.split(';').find_map(|part| part.strip_prefix("Root="))) {
        line.text("xray_trace_id", root);
    }
    line.raw("cold_start", cold_start);
    *current = Some(line.text);
}

struct Lines {
    service: &'static str,
    stack: String,
    clock: Clock,
}

/// Returns true if a line may be printed at all.
fn is_wanted(metadata: &Metadata<'_>) -> bool {
    let ours = ["shared", "oauth_callback", "token_refresh", "automation_execute"];
    let target = metadata.target().split("::").next().unwrap_or_default();
    if ours.contains(&target) {
        *metadata.level() <= Level::INFO
    } else {
        // Others' texts are not ours to vouch for: the runtime's own errors say what we returned.
        *metadata.level() <= Level::ERROR && target == "lambda_runtime"
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_wanted(metadata)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let now = self.clock.now_millis();
        let mut line = Line { text: Vec::with_capacity(ORDINARY), ..Line::default() };
        let _ = write!(line.text, "{{\"timestamp\":\"{}\"", timestamp(now));
        line.text("level", event.metadata().level().as_str());
        line.text("service", self.service);
        if let Some(invocation) = &*INVOCATION.lock().unwrap_or_else(PoisonError::into_inner) {
            line.text.extend_from_slice(invocation);
        }
        event.record(&mut line);
        line.count_in_group();
        if !line.metrics.is_empty() {
            line.text("stack", &self.stack);
            line.metrics.write(&mut line.text, now);
        }
        line.text.extend_from_slice(b"}\n");
        // One write per line, so that lines do not interleave.
        let _ = std::io::stdout().write_all(&line.text);
    }
}

/// A line under way: everything but its closing brace.
#[derive(Default)]
struct Line {
    text: Vec<u8>,
    metrics: MetricSet,
    /// Where the account's id and the result of an execution are in the text, in quotes.
    account: Option<Range<usize>>,
    result: Option<Range<usize>>,
}

impl Line {
    /// Our own names need no escaping: tracing's fields are Rust identifiers.
    fn raw(&mut self, name: &str, value: impl fmt::Display) {
        let _ = write!(self.text, ",\"{name}\":{value}");
    }

    fn text(&mut self, name: &str, value: impl fmt::Display) {
        let _ = write!(self.text, ",\"{name}\":");
        let start = self.text.len();
        // Writing to memory cannot fail.
        let _ = serde_json::Serializer::new(&mut self.text).collect_str(&value);
        match name {
            "account_id" => self.account = Some(start..self.text.len()),
            "result" => self.result = Some(start..self.text.len()),
            _ => {}
        }
    }

    /// Counts an execution that failed or was throttled in the group of its account too.
    fn count_in_group(&mut self) {
        let unquoted = |range: &Range<usize>| self.text.get(range.start + 1..range.end - 1);
        let (Some(result), Some(account)) = (&self.result, &self.account) else { return };
        let (Some(result), Some(account)) = (unquoted(result), unquoted(account)) else { return };
        if let Some(name) = metrics::of_group(result, account) {
            self.metrics.record(name, &1);
            self.raw(name, 1);
        }
    }
}

impl Visit for Line {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.metrics.record(field.name(), &value);
        self.raw(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.metrics.record(field.name(), &value);
        self.raw(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.raw(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(millis: i64) -> impl fmt::Display {
    struct Timestamp(Option<jiff::Timestamp>);
    impl fmt::Display for Timestamp {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.map_or(Ok(()), |time| write!(f, "{time:.3}"))
        }
    }
    Timestamp(jiff::Timestamp::from_millisecond(millis).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_795_555_230_000, "2026-11-24T21:20:30.000Z"),
        ] {
            assert_eq!(timestamp(millis).to_string(), text);
        }
    }

    #[test]
    fn a_text_is_escaped_whatever_it_is() {
        let hostile = "a\"b\\c\nd\u{1}é\u{2028}</script>";
        let mut line = Line { text: b"{\"x\":1".to_vec(), ..Line::default() };

        line.text("cause", hostile);
        line.text.push(b'}');

        let read: serde_json::Value = serde_json::from_slice(&line.text).unwrap();
        assert_eq!(read["cause"], hostile);
        assert!(!line.text.contains(&b'\n'));
    }
}
