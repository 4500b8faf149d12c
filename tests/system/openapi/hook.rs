//! No answer that a test sees gets past the document.

use serde_json::json;

use super::see;
use crate::world::{World, request, seen};

/// The hook itself: what a test's world sees goes through the same check.
#[tokio::test]
#[should_panic(expected = "infra/openapi.yaml and the answer 409 to POST /v1/authorizations differ")]
async fn an_answer_in_this_process_is_held_against_the_document() {
    let world = World::start().await;
    let event = world.stack.automation_event(request("acc_1", None).to_string());
    let response = world.unseen("automation-execute", event.clone()).await;
    let mut wrong = event;
    wrong["rawPath"] = json!("/v1/authorizations");

    see(&seen(&wrong, &response));
}

/// Another stack than the world's would have no witness.
#[test]
fn no_test_starts_a_stack_or_calls_a_handler_past_the_document() {
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("system");
    let mut files = vec![own];
    let mut found = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let calls = ["Stack::start(", "automation_execute::handle(", "oauth_callback::handle("];
        let count: usize = calls.iter().map(|call| text.matches(call).count()).sum();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if count > 0 && name != "hook.rs" {
            found.push((name, count));
        }
    }

    found.retain(|(name, _)| name != "fleet.rs");
    assert_eq!(found, [("world.rs".to_owned(), 4)], "go by World, or by world::stack");
}
