use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

use super::*;
use crate::aws::AwsFault;
use crate::stack::aws;
use crate::wire::At;

async fn started() -> (Arc<DynamoDb>, Client) {
    let create = json!({
        "TableName": "things",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    let table = Table { name: "things".to_owned(), create, expires_by: Some("gone_at".to_owned()) };
    let dynamo = Arc::new(DynamoDb::start(&[table]).await.unwrap());
    let client = Client::new(&aws::config("", dynamo.url(), String::new()));
    (dynamo, client)
}

async fn put(client: &Client, id: &str) -> bool {
    let put = client.put_item().table_name("things").item("id", AttributeValue::S(id.to_owned()));
    put.condition_expression("attribute_not_exists(id)").send().await.is_ok()
}

async fn is_there(client: &Client, id: &str) -> bool {
    let get = client.get_item().table_name("things").key("id", AttributeValue::S(id.to_owned()));
    get.consistent_read(true).send().await.unwrap().item.is_some()
}

#[tokio::test]
async fn a_held_call_has_its_effect_before_or_after_the_gate() {
    let (dynamo, client) = started().await;
    for (id, at, effect) in [("before", At::Before, false), ("after", At::After, true)] {
        let gate = dynamo.hold("PutItem", at);
        let putting = tokio::spawn({
            let client = client.clone();
            async move { put(&client, id).await }
        });

        gate.reached(1).await;

        assert_eq!(is_there(&client, id).await, effect, "{at:?}");
        gate.open();
        assert!(putting.await.unwrap());
        assert!(is_there(&client, id).await);
    }
}

#[tokio::test]
async fn a_lost_call_that_was_held_before_its_effect_has_none() {
    let (dynamo, client) = started().await;
    let gate = dynamo.hold_from("PutItem", 2, At::Before);
    assert!(put(&client, "first").await, "the first one passes");
    let client_of_one_attempt = {
        let config =
            client.config().to_builder().retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
        Client::from_conf(config.build())
    };
    let putting = tokio::spawn(async move { put(&client_of_one_attempt, "second").await });
    gate.reached(1).await;

    gate.lose();

    assert!(!putting.await.unwrap());
    assert!(!is_there(&client, "second").await);
    dynamo.wait_for_calls("PutItem", 2).await;
}

#[tokio::test]
async fn a_call_that_is_held_alone_arrives_although_its_caller_has_gone() {
    let (dynamo, client) = started().await;
    let gate = dynamo.hold_one("PutItem", &[r#""late""#], At::Before);

    assert!(put(&client, "other").await, "a call that names something else passes");
    tokio::select! {
        _ = put(&client, "late") => panic!("it is held"),
        () = gate.reached(1) => {}
    }
    assert!(!is_there(&client, "late").await);
    dynamo.land(gate).await;

    assert!(is_there(&client, "late").await);
}

#[tokio::test]
async fn random_faults_depend_on_seed_operation_and_count_until_healed() {
    let (dynamo, client) = started().await;
    dynamo.set_random_faults(7, |seed, call, nth| {
        (seed == 7 && call.operation == "PutItem" && nth < 3).then_some(AwsFault::Refused)
    });

    assert!(!put(&client, "a").await, "the SDK gives up after three attempts");
    assert!(put(&client, "a").await);
    dynamo.set_random_faults(7, |_, _, _| Some(AwsFault::Refused));
    dynamo.heal();
    assert!(is_there(&client, "a").await);
}
