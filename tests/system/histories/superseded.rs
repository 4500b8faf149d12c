//! An execution that is superseded while it waits for tokens.

use std::time::Duration;

use devstack::hubspot::Match;
use devstack::wire::At;
use serde_json::json;

use super::play::Play;

/// A wait after which an execution must read again which integration is the newest.
const LONG_WAIT: Duration = Duration::from_millis(1_100);

impl Play {
    /// Executes in one process while the next one connects a new instance, if the execution waits for a refresh.
    pub(super) async fn execute_during_connect(&self, number: usize, mark: &str, began: usize) -> String {
        let (process, other) = (self.process(number), self.process((number + 1) % 3));
        let gate = self.fleet.stack.hubspot.hold(Match::refresh(), At::After);
        let execution = process.execute(&self.fleet, &self.customer, None, mark);
        tokio::pin!(execution);
        let ended_at_once = tokio::select! {
            response = &mut execution => Some(response),
            () = gate.reached(1) => None,
        };
        if let Some(response) = ended_at_once {
            return self.judge(mark.to_owned(), None, began, &response).await;
        }
        let (response, superseded_from) = tokio::join!(execution, async {
            other.connect(&self.fleet, &self.customer, &json!({"new_instance": true})).await;
            // It may be another's refresh that is held, and the request may have been sent before.
            let sent = !self.fleet.requests(mark).is_empty();
            let connected = self.look().await;
            self.fleet.clock.advance(LONG_WAIT);
            gate.open();
            if sent { began } else { connected }
        });
        self.waits.set(self.waits.get() + usize::from(superseded_from != began));
        self.judge(mark.to_owned(), None, superseded_from, &response).await
    }
}
