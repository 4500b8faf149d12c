//! EventBridge Scheduler: invokes functions as often as the template says.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::lambda::{InvokeError, Lambda};
use crate::loopback::Task;
use crate::template::{ACCOUNT, REGION, Schedule};

/// The schedules of a template. Nothing fires by itself unless [`Self::fire`] is asked to.
#[derive(Debug)]
pub struct Schedules {
    schedules: Vec<Schedule>,
    lambda: Arc<Lambda>,
}

/// Schedules that fire until this is dropped.
#[derive(Debug)]
pub struct Firing {
    _tasks: Vec<Task>,
}

impl Schedules {
    /// The schedules of a template.
    #[must_use]
    pub const fn new(schedules: Vec<Schedule>, lambda: Arc<Lambda>) -> Self {
        Self { schedules, lambda }
    }

    /// The schedules.
    #[must_use]
    pub fn all(&self) -> &[Schedule] {
        &self.schedules
    }

    /// Does once what the schedule of a function would do, with the schedule's own event or another one.
    ///
    /// # Errors
    /// The template has no schedule for the function, or the function fails.
    pub async fn run_once(&self, binary: &str, event: Option<Value>) -> Result<Value, InvokeError> {
        let schedule = self.schedules.iter().find(|schedule| schedule.binary == binary);
        let schedule = schedule.ok_or_else(|| InvokeError::NoSuchFunction(format!("{binary} with a schedule")))?;
        self.lambda.invoke(binary, event.unwrap_or_else(|| own_event(schedule))).await
    }

    /// Fires every schedule, the first time at once, the interval divided by `faster`. Runs may overlap, as in AWS.
    #[must_use]
    pub fn fire(&self, faster: u32) -> Firing {
        let firing = self.schedules.iter().map(|schedule| {
            let (schedule, lambda) = (schedule.clone(), self.lambda.clone());
            let every = (schedule.every / faster.max(1)).max(Duration::from_millis(10));
            Task(tokio::spawn(async move {
                let mut ticks = tokio::time::interval(every);
                loop {
                    ticks.tick().await;
                    let (schedule, lambda) = (schedule.clone(), lambda.clone());
                    // A failed run is in the logs; nobody waits for its answer.
                    tokio::spawn(async move { lambda.invoke(&schedule.binary, own_event(&schedule)).await });
                }
            }))
        });
        Firing { _tasks: firing.collect() }
    }
}

/// The event that a schedule sends: its input, else the scheduler's own.
fn own_event(schedule: &Schedule) -> Value {
    schedule.input.clone().unwrap_or_else(|| {
        let now = Timestamp::from_second(Clock::default().now()).expect("a clock of today");
        json!({
            "version": "0",
            "id": uuid::Uuid::now_v7().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.scheduler",
            "account": ACCOUNT,
            "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "region": REGION,
            "resources": [format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/local")],
            "detail": "{}",
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    #[test]
    fn the_schedules_own_event_has_the_shape_that_aws_publishes() {
        let schedule = Schedule { binary: "absent".to_owned(), every: Duration::from_secs(60), input: None };

        let event = own_event(&schedule);

        let published = published::event("eventbridge-schedule");
        assert_eq!(event["detail-type"], published["detail-type"]);
        // A rule's event has an object here, Scheduler's a text.
        assert_eq!(published::differences(&event, &published), ["/detail is of another type"]);
    }
}
