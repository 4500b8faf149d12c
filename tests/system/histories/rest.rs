//! The state after the last fault: every usable integration is used again without help.

use devstack::hubspot::Rotation;
use shared::integration::{Integration, Status};

use super::fleet::Process;
use super::play::{Play, Window};
use super::story::{Habits, Story};
use super::truth::Truth;

impl Play {
    /// Lets the schedule run as it does, minute by minute, and sees that every integration that can be used is.
    pub(super) async fn rest(&self, story: &Story) {
        self.say("    everything goes on; the schedule runs every minute".to_owned());
        self.fleet.behave(Habits::of(story.habits.rotation));
        self.fleet.stack.secrets_manager.settle();
        self.fleet.stack.hubspot.clear_scripts();
        self.look().await;
        if story.is_undisturbed() && !story.habits.shared {
            self.truth.borrow_mut().judge_refreshes(&self.fleet, &self.customer);
        }
        let process = self.fleet.process(0);
        let lost = self.lost(story.habits.rotation).await;
        for _ in 0..10 {
            self.pass(60);
            process.schedule(&self.customer).await;
        }
        self.look().await;
        if let Some(newest) = self.newest().await
            && lost.contains(&newest.integration_id.to_string())
            && self.window.get() > Window::Late
        {
            self.truth.borrow_mut().judge_loss(&newest);
        }
        // A mark that was a mistake is taken back by a later look, within two hours; what is lost is known by then.
        let at_once = lost.is_empty() && !story.may_be_marked();
        for (seconds, last) in [(60, at_once), (1_800, at_once), (7_300, true)] {
            self.pass(seconds);
            process.schedule(&self.customer).await;
            self.judge_newest(&process, seconds, &lost, last).await;
        }
    }

    async fn newest(&self) -> Option<Integration> {
        self.fleet.records(&self.customer).await.into_iter().next()
    }

    /// The integrations that HubSpot accepts no refresh token of any more; it is wrong where that may not be.
    async fn lost(&self, rotation: Rotation) -> Vec<String> {
        let mut lost = Vec::new();
        for record in self.fleet.records(&self.customer).await {
            if record.pointer.is_some() && !Truth::holds(&self.fleet, &record) {
                lost.push(record.integration_id.to_string());
                if !self.may_be_lost(rotation) {
                    self.truth.borrow_mut().wrong.push(format!("{} is lost", record.integration_id));
                }
            }
        }
        lost
    }

    /// Under strict rotation the one window costs an authorization; where HubSpot grants grace, only if nobody has
    /// looked before it was over.
    fn may_be_lost(&self, rotation: Rotation) -> bool {
        match (rotation, self.touched_at.get()) {
            (_, None) | (Rotation::Keep | Rotation::Unnamed, _) => false,
            (Rotation::Strict, Some(_)) => true,
            (Rotation::Grace(millis), Some(at)) => self.fleet.clock.now() - at > millis / 1000,
        }
    }

    /// In the end, the newest is active and executes, unless it is lost: then that is known.
    async fn judge_newest(&self, process: &Process, seconds: u64, lost: &[String], last: bool) {
        let began = self.look().await;
        let Some(newest) = self.newest().await else { return };
        let id = newest.integration_id.to_string();
        let mark = format!("{}-rest-{seconds}", self.customer.hub_id);
        let said = self.execute(process, mark, Some(id.clone()), began).await;
        self.say(format!("      after {seconds} s: {said}"));
        let whole = said == "200" && newest.status == Status::Active;
        let wrong = if lost.contains(&id) { newest.status == Status::Active } else { !whole };
        if wrong && last {
            let words =
                format!("{id} is {:?} {:?}, an execution ends with {said}", newest.status, newest.status_reason);
            self.truth.borrow_mut().wrong.push(words);
        }
    }
}
