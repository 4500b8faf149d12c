//! Portals that live in another hub than the one of the common host.

use std::collections::BTreeMap;
use std::time::Duration;

use automation_execute::{App, Config};
use devstack::hubspot::{Fault, HubSpot, HubSpotOptions, Match};
use devstack::wire::Answer;
use serde_json::{Value, json};
use shared::config::Reader;

use super::{access_token, connected, tamper, to, with};
use crate::world::{ACCOUNT, ADMIN, World, execute_by};

/// A world, a second HubSpot that serves as every regional hub, and a function that knows both.
struct Hubs {
    world: World,
    regional: HubSpot,
    app: App,
}

async fn hubs() -> Hubs {
    let world = connected().await;
    let regional = HubSpot::start(HubSpotOptions::default()).await;
    let ok = Answer::json(200, &json!({"from": "the hub"}));
    regional.script_always(Match::api(), Fault::Answer(ok));
    let mut environment: BTreeMap<String, String> = world.stack.environment("automation-execute").into_iter().collect();
    environment.insert("HUBSPOT_HUB_API_URL".to_owned(), regional.url());
    let config = Config::read(Reader::new(|name: &str| environment.get(name).cloned())).unwrap();
    let aws = world.stack.aws_config_of("automation-execute");
    let app = App::new(config, &aws, world.clock.clone()).unwrap();
    Hubs { world, regional, app }
}

impl Hubs {
    async fn execute(&self, request: &Value) -> Value {
        let event = self.world.stack.automation_event(request.to_string());
        let response = execute_by(&self.app, event, self.world.clock.now_millis() + 29_000).await;
        serde_json::from_str(&response.body).unwrap()
    }

    async fn hub(&self) -> Option<String> {
        self.world.record(ACCOUNT, 1).await.unwrap().hub
    }

    /// How many requests came to the common host and to the hubs.
    fn counts(&self) -> (usize, usize) {
        (self.world.stack.hubspot.api_requests().len(), self.regional.api_requests().len())
    }
}

/// HubSpot's answer where a portal lives elsewhere.
pub(crate) fn moved(hub: &str) -> Fault {
    let body = json!({"status": "error", "message": "Wrong hub.", "correlationId": "c", "correctHublet": hub});
    Fault::Answer(Answer::json(488, &body).header("X-Hubspot-Correct-Hublet", hub))
}

/// The same without the header.
fn in_body(hub: &str) -> Answer {
    Answer::json(488, &json!({"correctHublet": hub}))
}

fn create() -> Value {
    with(to("POST", "/crm/v3/objects/contacts?a=%20b"), &json!({"body": {"properties": {"n": 1.0}}}))
}

#[tokio::test]
async fn a_488_sends_the_same_once_more_to_the_named_hub_which_the_record_keeps() {
    for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
        let hubs = hubs().await;
        hubs.world.stack.hubspot.script_always(Match::api(), moved("eu1"));
        let request = with(create(), &json!({"method": method}));

        let first = hubs.execute(&request).await;
        let second = hubs.execute(&request).await;

        assert_eq!((&first["hubspot"]["status"], &first["attempts"]), (&json!(200), &json!(2)), "{method} {first}");
        assert_eq!((&second["hubspot"]["status"], &second["attempts"]), (&json!(200), &json!(1)), "{method} {second}");
        assert_eq!(hubs.hub().await.as_deref(), Some("eu1"), "{method}");
        let [common] = hubs.world.stack.hubspot.api_requests().try_into().unwrap();
        let bearer = format!("Bearer {}", access_token(&hubs.world).await);
        let regional = hubs.regional.api_requests();
        assert_eq!(regional.len(), 2, "{method}");
        for sent in regional {
            assert_eq!((&sent.method, &sent.target, &sent.body), (&common.method, &common.target, &common.body));
            assert_eq!(sent.header("authorization").as_deref(), Some(bearer.as_str()), "{method}");
        }
    }
}

#[tokio::test]
async fn an_unknown_hub_changes_nothing() {
    let hubs = hubs().await;
    for name in ["xx9", "", "eu1.evil.example", "127.0.0.1:1/", "eu1, na1", "\"eu1\""] {
        hubs.world.stack.hubspot.script(Match::api(), [moved(name)]);

        let answer = hubs.execute(&create()).await;

        assert_eq!((&answer["hubspot"]["status"], &answer["attempts"]), (&json!(488), &json!(1)), "{name}: {answer}");
        assert_eq!((&answer["outcome"], &answer["retryable"]), (&json!("answered"), &json!(false)), "{name}");
    }
    assert_eq!((hubs.counts().1, hubs.hub().await), (0, None));
}

#[tokio::test]
async fn a_hub_that_names_another_hub_again_ends_the_execution() {
    let hubs = hubs().await;
    hubs.world.stack.hubspot.script_always(Match::api(), moved("eu1"));
    hubs.regional.clear_scripts();
    hubs.regional.script_always(Match::api(), moved("na1"));

    let answer = hubs.execute(&create()).await;

    assert_eq!((&answer["hubspot"]["status"], &answer["attempts"]), (&json!(488), &json!(2)), "{answer}");
    assert_eq!(hubs.counts(), (1, 1));
}

#[tokio::test]
async fn the_customers_regional_host_is_a_hint_where_the_record_has_none() {
    let hubs = hubs().await;
    let regional = to("GET", "https://api-eu1.hubapi.com/crm/v3/objects/contacts");
    let common = to("GET", "https://api.hubapi.com/crm/v3/objects/contacts");

    hubs.execute(&regional).await;
    hubs.execute(&common).await;

    assert_eq!((hubs.counts(), hubs.hub().await), ((1, 1), None));
}

#[tokio::test]
async fn a_hub_of_the_record_that_is_not_listed_is_ignored() {
    let hubs = hubs().await;
    let name = aws_sdk_dynamodb::types::AttributeValue::S("evil.example".to_owned());
    tamper(&hubs.world, ACCOUNT, 1, "hub", Some(name)).await;

    let answer = hubs.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    assert_eq!((&answer["hubspot"]["status"], hubs.counts()), (&json!(200), (1, 0)), "{answer}");
}

#[tokio::test]
async fn a_488_of_the_token_endpoint_asks_the_named_hub_once() {
    let world = connected().await;
    for (answers, refreshes, status) in [
        (vec![moved("eu1")], 2, 200),
        (vec![moved("eu1"), moved("na1")], 2, 503),
        (vec![moved("xx9")], 1, 503),
        (vec![Fault::Answer(in_body("eu1"))], 2, 200),
        (vec![Fault::Answer(in_body("xx9"))], 1, 503),
    ] {
        world.pass(Duration::from_secs(1_801));
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::refresh(), answers);

        let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

        assert_eq!(
            (answer.status, world.stack.hubspot.count(&Match::refresh())),
            (status, refreshes),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn an_unknown_hub_of_the_token_endpoint_is_logged() {
    let world = World::start().await;
    for answer in [Answer::new(488).header("x-hubspot-correct-hublet", "eu1.evil.example"), in_body("xx9")] {
        let begun = world.stack.authorize(ACCOUNT, ADMIN, &json!({})).await.unwrap();
        let callback = world.stack.consent(&begun).await.unwrap();
        world.stack.hubspot.script(Match::exchange(), [Fault::Answer(answer)]);

        world.stack.finish(&callback, Some(&begun.cookie)).await.unwrap();
    }
    let lines = world.stack.lambda.logs().lines();
    assert_eq!(lines.iter().filter(|line| line.text.contains("HubSpot named an unknown hub")).count(), 2, "{lines:?}");
}

#[tokio::test]
async fn the_token_endpoints_retry_after_may_be_a_date() {
    let world = connected().await;
    world.pass(Duration::from_secs(1_801));
    let limited = Answer::new(429).header("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT");
    world.stack.hubspot.script(Match::refresh(), [Fault::Answer(limited)]);

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;

    let wait = answer.body["retry_after_seconds"].as_u64().unwrap();
    assert_eq!((answer.code(), (890..=900).contains(&wait)), ("temporarily_unavailable", true), "{}", answer.text);
}
