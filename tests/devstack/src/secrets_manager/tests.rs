//! The rules that no recorded answer shows, through the real SDK.

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;

use super::*;
use crate::aws::AwsFault;

const FIRST: &str = "00000000-0000-4000-8000-000000000001";
const SECOND: &str = "00000000-0000-4000-8000-000000000002";
const THIRD: &str = "00000000-0000-4000-8000-000000000003";

fn client(emulator: &SecretsManager) -> Client {
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

/// An emulator with one secret of one version.
async fn started() -> (SecretsManager, Client) {
    let emulator = SecretsManager::start().await;
    let client = client(&emulator);
    assert_eq!(create(&client, FIRST, "one").await.unwrap(), FIRST);
    (emulator, client)
}

#[tokio::test]
async fn a_new_version_gets_the_current_label_and_unlabelled_ones_stay_readable() {
    let (_emulator, client) = started().await;
    put(&client, SECOND, "two").await.unwrap();
    put(&client, THIRD, "three").await.unwrap();

    assert_eq!(get(&client, None, None).await.unwrap(), "three");
    assert_eq!(get(&client, None, Some("AWSPREVIOUS")).await.unwrap(), "two");
    assert_eq!(get(&client, Some(FIRST), None).await.unwrap(), "one");
    assert_eq!(get(&client, Some(FIRST), Some("AWSCURRENT")).await, refused("InvalidRequestException"));
}

#[tokio::test]
async fn a_repeated_write_is_a_success_only_if_it_is_the_same_one() {
    let (_emulator, client) = started().await;
    put(&client, SECOND, "two").await.unwrap();

    assert_eq!(create(&client, FIRST, "one").await.unwrap(), FIRST);
    assert_eq!(create(&client, FIRST, "two").await, refused("ResourceExistsException"));
    assert_eq!(create(&client, SECOND, "one").await, refused("ResourceExistsException"));
    assert_eq!(create(&client, "short", "one").await, refused("InvalidParameterException"));
    assert_eq!(put(&client, FIRST, "one").await.unwrap(), ["AWSPREVIOUS"]);
    assert_eq!(put(&client, FIRST, "other").await, refused("ResourceExistsException"));
    assert_eq!(get(&client, None, None).await.unwrap(), "two");
}

#[tokio::test]
async fn a_value_holds_64_kib_and_no_more() {
    let (_emulator, client) = started().await;

    put(&client, SECOND, &"x".repeat(65_536)).await.unwrap();
    assert_eq!(put(&client, THIRD, &"x".repeat(65_537)).await, refused("ValidationException"));
}

#[tokio::test]
async fn a_list_comes_in_pages_and_by_the_beginning_of_names() {
    let (_emulator, client) = started().await;
    for name in ["a/1", "a/2", "a/3"] {
        client.create_secret().name(name).secret_string("x").send().await.unwrap();
    }
    let filter = aws_sdk_secretsmanager::types::Filter::builder().key("name".into()).values("a/").build();

    let call = client.list_secrets().max_results(2).filters(filter);
    let first = call.clone().send().await.unwrap();
    let second = call.set_next_token(first.next_token.clone()).send().await.unwrap();

    let entries = first.secret_list().iter().chain(second.secret_list());
    assert_eq!(entries.filter_map(|entry| entry.name()).collect::<Vec<_>>(), ["a/1", "a/2", "a/3"]);
    assert_eq!((first.secret_list().len(), second.next_token), (2, None));
}

#[tokio::test]
async fn a_deletion_with_a_window_can_be_undone() {
    let (_emulator, client) = started().await;

    client.delete_secret().secret_id("local/one").recovery_window_in_days(7).send().await.unwrap();
    assert_eq!(get(&client, None, None).await, refused("InvalidRequestException"));
    assert_eq!(put(&client, SECOND, "two").await, refused("InvalidRequestException"));
    client.restore_secret().secret_id("local/one").send().await.unwrap();

    assert_eq!(get(&client, None, None).await.unwrap(), "one");
}

#[tokio::test]
async fn a_label_moves_only_from_the_version_that_is_named() {
    let (_emulator, client) = started().await;
    put(&client, SECOND, "two").await.unwrap();
    let call = client.update_secret_version_stage().secret_id("local/one").version_stage("AWSCURRENT");
    let call = call.move_to_version_id(FIRST);

    assert_eq!(code(&call.clone().send().await.unwrap_err()), "InvalidParameterException");
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
    let (emulator, client) = started().await;
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
async fn a_planned_fault_happens_once_before_or_after_the_effect() {
    let cases = [
        (AwsFault::Refused, "InternalServiceError", FIRST),
        (AwsFault::Throttled, "ThrottlingException", FIRST),
        (AwsFault::ConnectionDropped, "no code", FIRST),
        (AwsFault::RefusedAfterEffect, "InternalServiceError", SECOND),
        (AwsFault::AnswerLost, "no code", SECOND),
    ];
    for (fault, answer, current) in cases {
        let (emulator, client) = started().await;
        emulator.fail_next("PutSecretValue", fault, 1);

        assert_eq!(put(&client, SECOND, "two").await, refused(answer));
        assert_eq!(emulator.secret("local/one").unwrap().current().unwrap().id, current, "{fault:?}");
        assert_eq!(put(&client, SECOND, "two").await.unwrap(), ["AWSCURRENT"]);
        assert_eq!((emulator.count("PutSecretValue"), emulator.calls()[2].version()), (2, Some(SECOND)));
    }
}
