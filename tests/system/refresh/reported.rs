//! Every answer that the token endpoint, or the edge in front of it, is reported to give, and what follows from it.

use devstack::hubspot::{Fault, Match, REPORTED};
use serde_json::json;
use shared::integration::Status;

use super::planted::{change, plant_due};
use crate::world::World;

/// The count of a scheduled run, the end of the integration, and the least and the longest pause in seconds.
struct Consequence {
    counted: &'static str,
    status: Status,
    is_refused: bool,
    pause: (i64, i64),
}

/// Something that passes: nobody is marked.
const fn transient(pause: (i64, i64)) -> Consequence {
    Consequence { counted: "transient", status: Status::Active, is_refused: false, pause }
}

/// The consequence of a reported answer, by its name; none for faults that are no answers of their own.
fn consequence(name: &str) -> Option<Consequence> {
    const ORDINARY: (i64, i64) = (2, 5);
    Some(match name {
        "502" | "207" | "423" | "429" | "429-secondly" | "429-daily" | "binary" | "403-edge" => transient(ORDINARY),
        "520" | "521" | "522" | "523" | "524" | "525" | "526" => transient(ORDINARY),
        "429-retry-after" => transient((10, 10)),
        // A day is believed for a quarter of an hour.
        "477" => transient((900, 900)),
        "401-invalid" | "401-expired" | "401-path" | "403-banned" | "unauthorized" => {
            Consequence { counted: "misconfigured", is_refused: true, ..transient(ORDINARY) }
        }
        "invalid-token" | "expired-code" => {
            Consequence { counted: "revoked", status: Status::NeedsReauthorization, is_refused: false, pause: (0, 0) }
        }
        _ => return None,
    })
}

#[tokio::test]
async fn every_reported_answer_of_the_token_endpoint_has_its_consequence() {
    let world = World::start().await;
    world.stop_time();
    for (number, reported) in REPORTED.into_iter().enumerate() {
        let fault @ Fault::Answer(_) = (reported.fault)() else { continue };
        let expected = consequence(reported.name).unwrap_or_else(|| panic!("{} has no consequence", reported.name));
        let account = format!("acc_{number}");
        let before = plant_due(&world, &account, 1, -60, -10).await;
        world.stack.hubspot.script(Match::refresh(), [fault]);

        let report = world.refresh(json!({})).await;

        let after = world.record(&account, 1).await.unwrap();
        let place = format!("{}: {report} {after:?}", reported.name);
        assert_eq!((&report["due"], &report[expected.counted]), (&json!(1), &json!(1)), "{place}");
        assert_eq!((after.status, &after.pointer), (expected.status, &before.pointer), "{place}");
        assert_eq!(after.refused_since.is_some(), expected.is_refused, "{place}");
        let pause = after.refresh_not_before.map_or(0, |until| until - world.clock.now());
        assert!((expected.pause.0 - 1..=expected.pause.1).contains(&pause), "{place}: a pause of {pause} s");
        assert!(after.lease_owner.is_none() && after.hub.is_none(), "{place}");
        // The later ones are due alone.
        change(&world, &after, &[("refresh_at", None)]).await;
    }
}
