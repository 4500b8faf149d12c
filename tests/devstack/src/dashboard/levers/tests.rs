//! Levers as `make run` has them: they need the functions' executables.

use super::*;
use crate::hubspot::{Fault, HubSpotOptions, REPORTED};
use crate::stack::{ApiResponse, Options};

async fn levers() -> Levers {
    let hubspot = HubSpotOptions { portals: PORTALS.into(), ..HubSpotOptions::default() };
    Levers::of(Arc::new(Stack::start(Options { hubspot, ..Options::default() }).await.unwrap()))
}

impl Levers {
    async fn pulled_with(&self, name: &str, account: &str, parameters: Value) -> Vec<String> {
        let pulled = self.pull(name, account, &parameters).await.unwrap();
        serde_json::from_value(pulled["active"].clone()).unwrap()
    }

    async fn list_contacts(&self, account: &str) -> ApiResponse {
        let request = json!({ "method": "GET", "endpoint": "/crm/v3/objects/contacts" });
        self.stack.post_automation(json!({ "account_id": account, "request": request }).to_string()).await
    }
}

/// The status and the attempts of an answered execution.
fn end(answer: &ApiResponse) -> (u64, u64) {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    (number(&answer.json()["hubspot"]["status"]), number(&answer.json()["attempts"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_choice_of_every_lever_works_and_recovery_ends_them() {
    let levers = levers().await;
    levers.stack.connect("acc_1", "alice").await;
    for lever in LEVERS {
        let most = lever.parameters.iter().map(|(_, _, choices)| choices.len()).max().unwrap_or(1);
        for at in 0..most {
            let chosen = lever.parameters.iter().map(|(name, _, choices)| {
                let (value, _) = choices[at.min(choices.len() - 1)];
                ((*name).to_owned(), json!(value))
            });
            let done = levers.pull(lever.name, "acc_1", &Value::Object(chosen.collect())).await.unwrap();
            assert!(done["done"].as_str().unwrap().ends_with('.'), "{} {at}: {done}", lever.name);
        }
    }

    assert_eq!(levers.pulled_with("recover", "acc_1", json!({})).await, [""; 0]);
    let account = "acc_2";
    levers.stack.connect(account, "alice").await;
    assert_eq!(end(&levers.list_contacts(account).await), (200, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reported_answer_is_a_lever_that_executions_meet() {
    let levers = levers().await;
    for reported in REPORTED {
        let Fault::Answer(answer) = (reported.fault)() else { continue };
        let account = format!("acc_{}", reported.name);
        levers.stack.connect(&account, "alice").await;

        let active = levers.pulled_with("fail", &account, json!({ "how": reported.name })).await;
        let met = levers.list_contacts(&account).await;

        assert_eq!(active, [format!("HubSpot's API {}.", reported.label)]);
        assert_eq!(end(&met).0, u64::from(answer.status), "{}: {}", reported.name, met.text());
        levers.pulled_with("recover", &account, json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_portal_is_found_once_and_then_called_at_its_hub() {
    let levers = levers().await;
    levers.stack.connect("acc_1", "alice").await;

    let active = levers.pulled_with("move-portal", "acc_1", json!({ "to": "eu1" })).await;

    assert_eq!(active, ["Portal 44110011 has moved to eu1."]);
    assert_eq!(end(&levers.list_contacts("acc_1").await), (200, 2));
    assert_eq!(end(&levers.list_contacts("acc_1").await), (200, 1));
    let migrating = levers.pulled_with("move-portal", "acc_1", json!({ "to": "migrating" })).await;
    assert_eq!(migrating, ["Portal 44110011 is being migrated."]);
    assert_eq!(end(&levers.list_contacts("acc_1").await).0, 477);
    let home = levers.pulled_with("move-portal", "acc_1", json!({ "to": "home" })).await;
    assert_eq!(home, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_scopes_and_short_token_answers_are_taken_back() {
    let levers = levers().await;
    let scopes = async |account: &str| {
        levers.stack.connect(account, "alice").await;
        levers.stack.integrations(account, "alice").await[0]["scopes"].to_string()
    };

    levers.pulled_with("rename-scope", "acc_1", json!({})).await;
    assert!(scopes("acc_1").await.contains("crm.objects.tickets.read"));
    levers.pulled_with("rename-scope", "acc_1", json!({ "names": "coarse" })).await;
    assert!(scopes("acc_2").await.contains("\"tickets\""));
    levers.pulled_with("token-answer", "acc_3", json!({ "fields": "unknown" })).await;
    let connected = levers.stack.connect_with("acc_3", "alice", &json!({})).await.unwrap();
    assert_eq!(connected.outcome, "failed");
    levers.pulled_with("token-answer", "acc_3", json!({ "fields": "required" })).await;
    assert!(scopes("acc_3").await.contains("\"tickets\""));
}
