//! The rules, through the real SDK.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;

use super::*;
use crate::aws::AwsFault;
use crate::wire::At;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";
const THIRD: &str = "00000000-0000-4000-8000-000000000003";

pub(super) fn client(emulator: &SecretsManager) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(emulator.url())
        .http_client(shared::clients::aws_http().unwrap())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

async fn create(client: &Client, token: &str, value: &str) -> Result<String, String> {
    let sent = client.create_secret().name("local/one").client_request_token(token).secret_string(value).send().await;
    sent.map(|answer| answer.version_id.unwrap_or_default()).map_err(|error| code(&error))
}

async fn put(client: &Client, token: &str, value: &str) -> Result<Vec<String>, String> {
    let call = client.put_secret_value().secret_id("local/one").client_request_token(token).secret_string(value);
    call.send().await.map(|answer| answer.version_stages.unwrap_or_default()).map_err(|error| code(&error))
}

async fn get(client: &Client, id: Option<&str>, label: Option<&str>) -> Result<String, String> {
    let call = client.get_secret_value().secret_id("local/one");
    let call = call.set_version_id(id.map(str::to_owned)).set_version_stage(label.map(str::to_owned));
    call.send().await.map(|answer| answer.secret_string.unwrap_or_default()).map_err(|error| code(&error))
}

fn code<E: ProvideErrorMetadata>(error: &E) -> String {
    error.code().unwrap_or("no code").to_owned()
}

fn refused<T>(name: &str) -> Result<T, String> {
    Err(name.to_owned())
}

#[tokio::test]
async fn a_new_version_gets_the_current_label_and_unlabelled_ones_stay_readable() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();

    put(&client, SECOND, "two").await.unwrap();
    assert_eq!(get(&client, None, Some("AWSPREVIOUS")).await.unwrap(), "one");
    put(&client, THIRD, "three").await.unwrap();

    assert_eq!(get(&client, None, None).await.unwrap(), "three");
    assert_eq!(get(&client, None, Some("AWSPREVIOUS")).await.unwrap(), "two");
    assert_eq!(get(&client, Some(FIRST), None).await.unwrap(), "one");
    assert_eq!(get(&client, Some(FIRST), Some("AWSCURRENT")).await, refused("InvalidRequestException"));
    let secret = emulator.secret("local/one").unwrap();
    let labels: Vec<_> = secret.versions.iter().map(|version| version.labels.clone()).collect();
    assert_eq!(labels, [vec![], vec!["AWSPREVIOUS".to_owned()], vec!["AWSCURRENT".to_owned()]]);
}

#[tokio::test]
async fn the_same_token_and_value_change_nothing_and_another_value_is_refused() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    put(&client, SECOND, "two").await.unwrap();

    assert_eq!(put(&client, FIRST, "one").await.unwrap(), ["AWSPREVIOUS"]);
    assert_eq!(put(&client, FIRST, "other").await, refused("ResourceExistsException"));

    assert_eq!(get(&client, None, None).await.unwrap(), "two");
}

#[tokio::test]
async fn a_repeated_create_is_a_success_only_if_it_is_the_same_one() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);

    assert_eq!(create(&client, FIRST, "one").await.unwrap(), FIRST);
    assert_eq!(create(&client, FIRST, "one").await.unwrap(), FIRST);
    assert_eq!(create(&client, FIRST, "two").await, refused("ResourceExistsException"));
    assert_eq!(create(&client, SECOND, "one").await, refused("ResourceExistsException"));
    assert_eq!(create(&client, "short", "one").await, refused("InvalidParameterException"));
}

#[tokio::test]
async fn a_value_holds_64_kib_and_no_more() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);

    create(&client, FIRST, &"x".repeat(65_536)).await.unwrap();

    assert_eq!(put(&client, SECOND, &"x".repeat(65_537)).await, refused("ValidationException"));
}

#[tokio::test]
async fn a_secret_is_found_by_its_arn_and_shows_its_key_and_labelled_versions() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    let created = client.create_secret().name("local/one").client_request_token(FIRST).secret_string("one");
    let arn = created.kms_key_id("arn:key").send().await.unwrap().arn.unwrap();
    put(&client, SECOND, "two").await.unwrap();
    put(&client, THIRD, "three").await.unwrap();

    let described = client.describe_secret().secret_id(&arn).send().await.unwrap();
    let partial = arn.rsplit_once('-').unwrap().0;
    let listed = client.list_secret_version_ids().secret_id(partial);

    assert_eq!(described.kms_key_id(), Some("arn:key"));
    let stages = described.version_ids_to_stages().unwrap();
    assert_eq!((stages.len(), stages[THIRD].as_slice()), (2, ["AWSCURRENT".to_owned()].as_slice()));
    assert_eq!(listed.clone().send().await.unwrap().versions().len(), 2);
    assert_eq!(listed.include_deprecated(true).send().await.unwrap().versions().len(), 3);
    let list = client.list_secrets().send().await.unwrap();
    assert_eq!(list.secret_list()[0].name(), Some("local/one"));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_by_the_beginning_of_names() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    for name in ["a/1", "a/2", "a/3", "b/1"] {
        client.create_secret().name(name).secret_string("x").send().await.unwrap();
    }
    let filter = aws_sdk_secretsmanager::types::Filter::builder().key("name".into()).values("a/").build();

    let call = client.list_secrets().max_results(2).filters(filter);
    let first = call.clone().send().await.unwrap();
    let second = call.set_next_token(first.next_token.clone()).send().await.unwrap();

    let names = |list: &[aws_sdk_secretsmanager::types::SecretListEntry]| -> Vec<String> {
        list.iter().map(|entry| entry.name().unwrap().to_owned()).collect()
    };
    assert_eq!(names(first.secret_list()), ["a/1", "a/2"]);
    assert_eq!((names(second.secret_list()), second.next_token), (vec!["a/3".to_owned()], None));
}

#[tokio::test]
async fn a_forced_deletion_is_final_and_one_with_a_window_can_be_undone() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();

    client.delete_secret().secret_id("local/one").recovery_window_in_days(7).send().await.unwrap();
    assert_eq!(get(&client, None, None).await, refused("InvalidRequestException"));
    assert_eq!(put(&client, SECOND, "two").await, refused("InvalidRequestException"));
    assert_eq!(create(&client, FIRST, "one").await, refused("InvalidRequestException"));
    client.restore_secret().secret_id("local/one").send().await.unwrap();
    assert_eq!(get(&client, None, None).await.unwrap(), "one");

    for _ in 0..2 {
        let call = client.delete_secret().secret_id("local/one").force_delete_without_recovery(true);
        call.send().await.unwrap();
    }
    assert_eq!(get(&client, None, None).await, refused("ResourceNotFoundException"));
    assert_eq!(emulator.secrets(), []);
    create(&client, SECOND, "again").await.unwrap();
}

#[tokio::test]
async fn a_label_moves_only_from_the_version_that_is_named() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    put(&client, SECOND, "two").await.unwrap();
    let call = client.update_secret_version_stage().secret_id("local/one").version_stage("AWSCURRENT");
    let call = call.move_to_version_id(FIRST);

    let unnamed = call.clone().send().await.unwrap_err();
    assert_eq!(code(&unnamed), "InvalidParameterException");
    call.remove_from_version_id(SECOND).send().await.unwrap();

    assert_eq!(get(&client, None, None).await.unwrap(), "one");
    assert_eq!(get(&client, None, Some("AWSPREVIOUS")).await.unwrap(), "two");
}

#[tokio::test]
async fn a_secret_takes_a_hundred_versions_a_day() {
    let clock = Clock::default();
    let emulator = SecretsManager::start_with(clock.clone()).await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    for number in 1..100 {
        put(&client, &format!("10000000-0000-4000-8000-{number:012}"), "next").await.unwrap();
    }

    assert_eq!(put(&client, SECOND, "two").await, refused("LimitExceededException"));
    clock.advance(Duration::from_secs(25 * 3600));
    put(&client, SECOND, "two").await.unwrap();

    assert_eq!(get(&client, Some(FIRST), None).await, refused("ResourceNotFoundException"));
}

#[tokio::test]
async fn under_a_lag_reads_see_the_past_until_it_settles() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    emulator.set_lag(Duration::from_secs(3600));

    put(&client, SECOND, "two").await.unwrap();
    assert_eq!(get(&client, None, None).await.unwrap(), "one");
    assert_eq!(get(&client, Some(SECOND), None).await, refused("ResourceNotFoundException"));
    assert_eq!(emulator.secret("local/one").unwrap().current().unwrap().id, SECOND);

    emulator.settle();
    assert_eq!(get(&client, None, None).await.unwrap(), "two");
    client.delete_secret().secret_id("local/one").force_delete_without_recovery(true).send().await.unwrap();
    assert_eq!(get(&client, None, None).await.unwrap(), "two");
    emulator.settle();
    assert_eq!(get(&client, None, None).await, refused("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_planned_fault_happens_before_or_after_the_effect_as_often_as_planned() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    let current = || emulator.secret("local/one").unwrap().current().unwrap().id.clone();

    for (kind, answer) in [(AwsFault::Refused, "InternalServiceError"), (AwsFault::Throttled, "ThrottlingException")] {
        emulator.fail_next("PutSecretValue", kind, 1);
        assert_eq!(put(&client, SECOND, "two").await, refused(answer));
        assert_eq!(current(), FIRST);
    }
    emulator.fail_next("PutSecretValue", AwsFault::ConnectionDropped, 1);
    assert_eq!(put(&client, SECOND, "two").await, refused("no code"));
    assert_eq!(current(), FIRST);
    emulator.fail_next("PutSecretValue", AwsFault::RefusedAfterEffect, 1);
    assert_eq!(put(&client, SECOND, "two").await, refused("InternalServiceError"));
    assert_eq!(current(), SECOND);
    emulator.fail_next("PutSecretValue", AwsFault::AnswerLost, 1);
    assert_eq!(put(&client, THIRD, "three").await, refused("no code"));
    assert_eq!(current(), THIRD);

    assert_eq!(put(&client, THIRD, "three").await.unwrap(), ["AWSCURRENT"]);
    assert_eq!(emulator.count("PutSecretValue"), 6);
    assert_eq!(emulator.calls().last().unwrap().version(), Some(THIRD));
}

#[tokio::test]
async fn a_call_is_held_before_or_after_its_effect_until_it_is_decided() {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    create(&client, FIRST, "one").await.unwrap();
    let current = || emulator.secret("local/one").unwrap().current().unwrap().id.clone();
    let call = |token: &'static str| {
        let client = client.clone();
        tokio::spawn(async move { put(&client, token, token).await })
    };

    let gate = emulator.hold("PutSecretValue", At::Before);
    let lost = call(SECOND);
    gate.reached(1).await;
    gate.lose();
    assert_eq!((lost.await.unwrap(), current()), (refused("no code"), FIRST.to_owned()));

    let gate = emulator.hold("PutSecretValue", At::After);
    let held = call(THIRD);
    gate.reached(1).await;
    assert_eq!(current(), THIRD);
    gate.open();
    held.await.unwrap().unwrap();
    emulator.wait_for_calls("PutSecretValue", 2).await;
}

#[tokio::test]
async fn an_unsigned_an_unknown_and_a_broken_call_are_refused_by_name() {
    let emulator = SecretsManager::start().await;
    let http = crate::loopback::client();
    let call = |target: &str, signed: bool, body: &'static str| {
        let call = http.post(emulator.url()).header("content-type", "application/x-amz-json-1.1");
        let call = call.header("x-amz-target", target).body(body);
        if signed { call.header("authorization", "AWS4-HMAC-SHA256 Credential=test") } else { call }
    };

    let cases = [
        (call("secretsmanager.ListSecrets", false, "{}"), "MissingAuthenticationTokenException"),
        (call("secretsmanager.Nonsense", true, "{}"), "UnknownOperationException"),
        (call("secretsmanager.ListSecrets", true, "[]"), "SerializationException"),
        (call("secretsmanager.GetSecretValue", true, "{\"SecretId\":1}"), "ValidationException"),
    ];

    for (call, name) in cases {
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains(&format!(r#""__type":"{name}""#)));
    }
}
