//! The cutover that its page walks through, command by command.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::steady;
use crate::ctl::{Folder, command, ended, legacy};
use crate::world::{ADMIN, World};

/// How long ago the system before connected the three customers, in seconds.
const AGO: i64 = 1000 * 86_400;

/// The commands of the page, each with the output that stands below it.
fn shown() -> Vec<(String, String)> {
    let page = include_str!("../../../infra/docs/cutover.md");
    let blocks = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let commands = blocks.flat_map(|block| block.split("$ ").filter(|text| !text.is_empty()));
    commands
        .map(|text| {
            let (command, output) = text.split_once('\n').unwrap();
            (command.to_owned(), output.to_owned())
        })
        .collect()
}

fn automation(account: &str, integration: Option<&str>, number: u32, method: &str, endpoint: &str) -> Value {
    json!({"account_id": account, "integration_id": integration, "automation_id": format!("wf_{number}"),
        "request": {"method": method, "endpoint": endpoint}})
}

/// The records of the previous system: of acme, who has connected anew since; of bolt, whose token is dead; of coil,
/// who has two instances.
fn files(world: &World, folder: &Folder) {
    let then = world.clock.now() - AGO;
    let dead =
        json!({"account_id": "bolt", "integration_id": "bolt-1", "created_at": then, "refresh_token": "na1-dead"});
    let integrations = [
        legacy(world, "acme", "acme-1", then),
        dead,
        legacy(world, "coil", "coil-1", then),
        legacy(world, "coil", "coil-2", then + 1),
    ];
    let contacts = "https://api.hubapi.com/crm/v3/objects/contacts?limit=1&hapikey=old";
    let automations = [
        automation("acme", Some("acme-1"), 1, "GET", contacts),
        automation("acme", None, 2, "GET", contacts),
        automation("bolt", Some("bolt-1"), 3, "GET", contacts),
        automation("coil", Some("coil-1"), 4, "GET", "/crm/v3/objects/contacts"),
        automation("coil", Some("coil-2"), 5, "GET", "/crm/v3/objects/contacts"),
        automation("coil", Some("coil-2"), 6, "POST", "/crm/v3/objects/deals/search"),
        automation("coil", Some("coil-2"), 7, "GET", "https://example.com/hook"),
    ];
    let file = folder.file("integrations.jsonl", &integrations);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder.file("automations.jsonl", &automations);
}

#[tokio::test]
async fn the_cutover_goes_as_its_page_shows() {
    let (world, folder) = (World::start().await, Folder::new());
    files(&world, &folder);
    world.stack.connect("acme", ADMIN).await;

    let mut seen = Vec::new();
    for (line, _) in shown() {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let ended = ended(command(&world.stack, &words).current_dir(folder.path()).spawn().unwrap()).await;
        seen.push((line, steady(&format!("{}{}", ended.text, ended.errors))));
    }

    assert!(seen.len() >= 6, "{seen:?}");
    for ((line, shown), (_, seen)) in shown().iter().zip(&seen) {
        assert_eq!(&steady(shown), seen, "$ {line}\n{seen}");
    }
}
