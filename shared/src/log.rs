//! Log lines: one flat JSON object each, with a timestamp, as CloudWatch Logs Insights reads them.
//!
//! The stock JSON subscriber nests the message and has no timestamp. Fields of enclosing spans are
//! not printed: a line states what it is about itself.

use std::fmt;
use std::io::Write;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::clock::Clock;

/// Makes this process log as `service`.
///
/// Only our own crates and warnings of others are printed, whatever the environment says: at TRACE the Lambda runtime
/// prints raw events, an OAuth code included.
pub fn init(service: &'static str, clock: Clock) {
    tracing_subscriber::registry().with(Lines { service, clock }).init();
}

struct Lines {
    service: &'static str,
    clock: Clock,
}

/// Whether a line may be printed at all.
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
        let mut line = Fields(Map::new());
        line.0.insert("timestamp".to_owned(), Value::from(timestamp(self.clock.now_millis())));
        line.0.insert("level".to_owned(), Value::from(event.metadata().level().as_str()));
        line.0.insert("service".to_owned(), Value::from(self.service));
        event.record(&mut line);
        let mut text = Value::Object(line.0).to_string();
        text.push('\n');
        // One write per line, so that lines do not interleave.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), Value::from(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), Value::from(format!("{value:?}")));
    }
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| format!("{time:.3}")).unwrap_or_default()
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
            assert_eq!(timestamp(millis), text);
        }
    }
}
