//! Numbers in records as far out as a corruption puts them: the reading commands end their reports.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};
use shared::integration::Integration;

use super::{Ended, run};
use crate::refresh::planted::{change, change_text, plant};
use crate::world::World;

const NUMBERS: [&str; 14] = [
    "created_at",
    "status_since",
    "token_expires_at",
    "last_used_at",
    "superseded_at",
    "cooldown_until",
    "search_cooldown_until",
    "failures",
    "refresh_not_before",
    "lease_until",
    "ambiguous_until",
    "proof_requested_at",
    "refused_since",
    "refresh_at",
];

/// A record per number and extreme, and one per extreme of the sequence and of the expiry of a marked one.
async fn extremes(world: &World) -> Vec<Integration> {
    let mut records = Vec::new();
    for extreme in [i64::MIN, i64::MAX] {
        for name in NUMBERS {
            let record = plant(world, &format!("{name}_{extreme}"), 1).await;
            change(world, &record, &[(name, Some(extreme))]).await;
            if name == "lease_until" {
                change_text(world, &record, "lease_owner", AttributeValue::S("somebody else".to_owned())).await;
            }
            records.push(record);
        }
        let marked = plant(world, &format!("marked_{extreme}"), 1).await;
        change(world, &marked, &[("token_expires_at", Some(extreme))]).await;
        change_text(world, &marked, "status", AttributeValue::S("needs_reauthorization".to_owned())).await;
        records.push(marked);
        records.push(plant(world, "sequence", extreme).await);
    }
    records
}

#[tokio::test]
async fn every_reading_command_ends_whatever_the_numbers_of_a_record_are() {
    let world = World::start().await;
    let records = extremes(&world).await;
    let accounts: Vec<&str> = records.iter().map(|record| record.account_id.as_str()).collect();
    let mut commands = vec![
        [&["status"][..], &accounts].concat(),
        vec!["status"],
        vec!["status", "--all"],
        vec!["doctor"],
        vec!["integrations", "list"],
        vec!["integrations", "list", "--needs-reauthorization"],
        vec!["sweep", "--dry-run"],
        vec!["decommission", "--dry-run"],
    ];
    for record in &records {
        let (account, id) = (record.account_id.as_str(), record.integration_id.as_str());
        commands.push(vec!["integrations", "show", account, id]);
        commands.push(vec!["integrations", "list", "--account", account]);
    }
    let json = commands.iter().map(|command| [&command[..], &["--json"]].concat());
    let commands: Vec<_> = commands.iter().cloned().chain(json).collect();

    let ended: Vec<Ended> =
        stream::iter(&commands).map(|command| run(&world.stack, command)).buffered(8).collect().await;
    let ended: Vec<_> = commands.iter().zip(ended).collect();

    for (command, ended) in &ended {
        let finished = matches!(ended.code, 0 | 1) && !ended.errors.contains("panicked");
        // A number that its type cannot hold makes the record unreadable, which `show` reports and stops at.
        let unreadable = ended.code == 3 && ended.errors.contains("does not parse");
        assert!(finished || unreadable, "{command:?}: {ended:?}");
    }
    let doctor = &ended.iter().find(|(command, _)| command[0] == "doctor").unwrap().1;
    assert!(doctor.text.contains("accounts") && doctor.text.contains("schedule"), "{doctor:?}");
}
