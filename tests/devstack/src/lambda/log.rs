//! The processes' output, line by line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line that a process printed.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The function, by its binary.
    pub function: String,
    /// The process.
    pub pid: u32,
    /// Where it was printed.
    pub stream: Stream,
    /// The line, without its end.
    pub text: String,
}

/// All lines of all processes, in order of arrival.
#[derive(Clone, Debug)]
pub struct Logs {
    lines: Arc<Mutex<Vec<LogLine>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Default for Logs {
    fn default() -> Self {
        Self { lines: Arc::default(), count: Arc::new(watch::channel(0).0) }
    }
}

impl Logs {
    /// The lines so far. What a process prints right before its answer may arrive after it: see [`Self::wait_for`].
    #[must_use]
    pub fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line.
    ///
    /// # Panics
    /// It does not come within a minute.
    pub async fn wait_for(&self, wanted: impl Fn(&LogLine) -> bool) -> LogLine {
        let mut count = self.count.subscribe();
        let found = async {
            let mut from = 0;
            loop {
                let lines = self.lines();
                if let Some(line) = lines.iter().skip(from).find(|line| wanted(line)) {
                    return line.clone();
                }
                from = lines.len();
                let _ = count.changed().await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), found).await;
        found.unwrap_or_else(|_| panic!("no such line in the logs: {:#?}", self.lines()))
    }

    pub(super) fn push(&self, line: LogLine) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(line);
        let count = lines.len();
        drop(lines);
        self.count.send_replace(count);
    }

    /// The end of what a process printed, for an error message.
    pub(super) fn tail(&self, pid: u32) -> String {
        let lines = self.lines();
        let own: Vec<_> = lines.iter().filter(|line| line.pid == pid).map(|line| line.text.as_str()).collect();
        own[own.len().saturating_sub(10)..].join("\n")
    }
}
