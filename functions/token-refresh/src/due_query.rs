//! Finds the integrations that are due.

use futures_util::{StreamExt, stream};
use shared::store::integrations::Due;

use crate::backlog::Pace;
use crate::{Failed, Run, UNANSWERED};

/// How many due integrations one run works on; the rest waits for the next minute.
const AT_MOST: usize = 8_000;

/// The due integrations.
#[derive(Default)]
pub(crate) struct DueBatch {
    /// The integrations that the run works on.
    pub(crate) due: Vec<Due>,
    /// How many have their turn later.
    pub(crate) later: usize,
}

impl DueBatch {
    /// Takes the next one, in the order in which they became due. The first ones have no turn to wait for: they tell
    /// whether HubSpot is up, and a handful is no stampede.
    fn add(&mut self, due: Due, pace: Pace) {
        if self.due.len() < UNANSWERED || pace.takes(&due) {
            self.due.push(due);
        } else {
            self.later += 1;
        }
    }
}

impl Run<'_> {
    /// The due integrations of some shards, those that wait longest first.
    pub(crate) async fn find(&self, shards: Vec<u8>) -> Result<DueBatch, Failed> {
        let each = AT_MOST / shards.len().max(1);
        let pace = Pace::at(self.app.clock.now());
        let found: Vec<_> =
            stream::iter(shards).map(|shard| self.find_in(shard, each, pace)).buffer_unordered(4).collect().await;
        if !found.is_empty() && found.iter().all(Result::is_err) {
            return Err(Failed::IndexUnavailable);
        }
        let (mut all, mut due) = (DueBatch::default(), Vec::new());
        for found in found.into_iter().flatten() {
            due.extend(found.due);
            all.later += found.later;
        }
        due.sort_by_key(|due| due.refresh_at);
        due.into_iter().for_each(|due| all.add(due, pace));
        Ok(all)
    }

    async fn find_in(&self, shard: u8, at_most: usize, pace: Pace) -> Result<DueBatch, Failed> {
        let (mut found, mut after) = (DueBatch::default(), None);
        loop {
            let page = self.app.store.due(shard, self.app.clock.now(), after.take()).await.map_err(|error| {
                tracing::error!(shard, cause = %error, "the index of due integrations could not be read");
                Failed::IndexUnavailable
            })?;
            page.due.into_iter().for_each(|due| found.add(due, pace));
            after = page.next;
            if after.is_none() || found.due.len() >= at_most {
                found.due.truncate(at_most);
                return Ok(found);
            }
        }
    }
}
