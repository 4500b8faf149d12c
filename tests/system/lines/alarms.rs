//! One fault, one alarm: faults are acted out on the local stack, and the template's alarms are judged by what it
//! shows.

mod judge;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::Options;
use devstack::wire::Answer as Wire;
use serde_json::{Value, json};

use crate::execution::tamper;
use crate::refresh::planted::{plant, plant_due, refused};
use crate::world::{ACCOUNT, ADMIN, World, request, stack};
use judge::{Lasting, Night, fired};

/// A stack with a connected account, whose schedule has just run.
async fn quiet() -> (World, Night) {
    quiet_with(Options::default()).await
}

async fn quiet_with(options: Options) -> (World, Night) {
    let world = World::with(options).await;
    plant(&world, ACCOUNT, 1).await;
    let mut night = Night::default();
    run(&world, &mut night).await;
    (world, night)
}

async fn run(world: &World, night: &mut Night) {
    night.dead_letters += u32::from(world.stack.run_schedule_once(None).await.is_err());
}

/// Accounts of all groups, each connected.
async fn connected(world: &World, count: usize) -> Vec<String> {
    let accounts: Vec<String> = (0..count).map(|number| format!("acc_many_{number:02}")).collect();
    for account in &accounts {
        plant(world, account, 1).await;
    }
    accounts
}

async fn execute_all(world: &World, night: &mut Night, accounts: &[String], times: usize) {
    for account in accounts {
        execute(world, night, account, times).await;
    }
}

async fn execute(world: &World, night: &mut Night, account: &str, times: usize) -> Value {
    let mut last = Value::Null;
    for _ in 0..times {
        let answer = world.stack.post_automation(request(account, None).to_string()).await;
        night.answers.push(answer.status);
        last = answer.json();
    }
    last
}

/// The alarms that tell somebody, after everything printed has been read.
async fn morning(world: World, mut night: Night) -> Vec<String> {
    let lines = world.stack.lambda.stop().await;
    night.lines.extend(lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok()));
    fired(&night)
}

#[tokio::test]
async fn a_quiet_night_wakes_nobody() {
    let (world, mut night) = quiet().await;
    plant_due(&world, "acc_due", 1, 200, -30).await;
    run(&world, &mut night).await;
    execute(&world, &mut night, ACCOUNT, 6).await;
    execute(&world, &mut night, "acc_none", 30).await;
    assert_eq!(world.stack.connect_with("acc_new", ADMIN, &json!({})).await.unwrap().outcome, "connected");

    assert_eq!(morning(world, night).await, [""; 0]);
}

#[tokio::test]
async fn a_malformed_app_secret_is_one_alarm_whose_line_names_the_field() {
    let (world, mut night) = quiet().await;
    world.stack.put_app_secret(&json!({"client_id": "app", "clientSecret": "s3cret-value"})).await.unwrap();
    for account in ["acc_a", "acc_b", "acc_c", "acc_d", "acc_e", "acc_f"] {
        plant_due(&world, account, 1, -60, -400).await;
        let answer = execute(&world, &mut night, account, 2).await;
        assert_eq!(answer["code"], "temporarily_unavailable", "{answer}");
    }
    for account in ["acc_g", "acc_h", "acc_i", "acc_j", "acc_k", "acc_l"] {
        plant_due(&world, account, 1, -60, -400).await;
    }
    run(&world, &mut night).await;
    let token = world.stack.jwt("acc_new", ADMIN, "admin");
    let begun = world.stack.call_as(&token, "POST", "/v1/authorizations", "{}").await;
    assert_eq!(begun.code().as_deref(), Some("temporarily_unavailable"));
    night.answers.push(begun.status);

    let logs = world.stack.lambda.logs().clone();
    let processes = world.stack.lambda.processes("automation-execute").len();
    let fired = morning(world, night).await;

    assert_eq!((fired, processes), (vec!["app-credentials-refused".to_owned()], 1), "no crash loop");
    let named = |line: &str| line.contains(r#""cause":"secret local/app: client_secret is missing""#);
    for service in ["automation-execute", "oauth-callback", "token-refresh"] {
        let found = logs.lines().into_iter().any(|line| line.function == service && named(&line.text));
        assert!(found, "{service}: {:#?}", logs.lines());
    }
    assert!(logs.lines().iter().all(|line| !line.text.contains("s3cret-value")));
}

#[tokio::test]
async fn an_app_secret_that_nobody_has_put_is_one_alarm() {
    let (world, mut night) = quiet_with(Options { app_secret: false, ..Options::default() }).await;
    let token = world.stack.jwt("acc_new", ADMIN, "admin");
    for _ in 0..6 {
        night.answers.push(world.stack.call_as(&token, "POST", "/v1/authorizations", "{}").await.status);
    }

    assert!(night.answers.iter().all(|status| *status == 503), "{:?}", night.answers);
    assert_eq!(morning(world, night).await, ["app-credentials-refused"]);
}

#[tokio::test]
async fn credentials_that_hubspot_refuses_are_one_alarm() {
    let (world, mut night) = quiet().await;
    world.stack.hubspot.rotate_client_secret("another-secret");
    for number in 0..12 {
        plant_due(&world, &format!("acc_{number:02}"), 1, -60, -400).await;
    }
    run(&world, &mut night).await;
    execute(&world, &mut night, "acc_00", 6).await;

    assert_eq!(morning(world, night).await, ["app-credentials-refused"]);
}

#[tokio::test]
async fn hubspot_that_answers_with_errors_or_not_at_all_is_one_alarm() {
    for fault in [Fault::Answer(Wire::html(503, "<h1>maintenance</h1>")), Fault::Close] {
        let (world, mut night) = quiet().await;
        let accounts = connected(&world, 8).await;
        world.stack.hubspot.script_always(Match::api(), fault.clone());
        world.stack.hubspot.script_always(Match::token(), fault);
        plant_due(&world, "acc_due", 1, 200, -30).await;
        run(&world, &mut night).await;
        execute_all(&world, &mut night, &accounts, 1).await;

        assert_eq!(morning(world, night).await, ["executions-failing"]);
    }
}

#[tokio::test]
async fn a_quiet_stack_on_which_everything_fails_is_one_alarm() {
    let (world, mut night) = quiet().await;
    let accounts = connected(&world, 3).await;
    world.stack.hubspot.script_always(Match::api(), Fault::Close);
    execute_all(&world, &mut night, &accounts, 1).await;

    assert_eq!(morning(world, night).await, ["executions-failing"]);
}

#[tokio::test]
async fn one_customers_failing_automation_wakes_nobody() {
    let limit = json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY"});
    for fault in [Fault::Close, Fault::Answer(Wire::json(429, &limit))] {
        let (world, mut night) = quiet().await;
        let accounts = connected(&world, 8).await;
        execute_all(&world, &mut night, &accounts, 1).await;
        world.stack.hubspot.script_always(Match::api(), fault);
        execute(&world, &mut night, ACCOUNT, 25).await;

        assert_eq!(morning(world, night).await, [""; 0]);
    }
}

#[tokio::test]
async fn hubspots_rate_limit_is_one_alarm() {
    let (world, mut night) = quiet().await;
    let accounts = connected(&world, 8).await;
    let limit = json!({"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY"});
    world.stack.hubspot.script_always(Match::api(), Fault::Answer(Wire::json(429, &limit)));
    execute_all(&world, &mut night, &accounts, 5).await;

    assert_eq!(morning(world, night).await, ["throttled-by-hubspot"]);
}

#[tokio::test]
async fn a_quota_of_aws_is_one_alarm() {
    let (world, mut night) = quiet().await;
    world.stack.dynamo.fail_next("Query", AwsFault::Throttled, 1_000);
    execute(&world, &mut night, ACCOUNT, 12).await;

    assert_eq!(morning(world, night).await, ["throttled-by-aws"]);
}

#[tokio::test]
async fn aws_metrics_raise_alarms_although_other_series_do_not_exist() {
    for (metric, resource, expected) in [
        ("Throttles", "AutomationExecuteFunction", "throttled-by-aws"),
        ("Throttles", "OAuthCallbackFunction", "throttled-by-aws"),
        ("ApproximateNumberOfMessagesVisible", "ScheduleDeadLetters", "dead-letters"),
        ("ApproximateNumberOfMessagesVisible", "NotificationDeadLetters", "dead-letters"),
        ("ExecutionFailed", "ChangesPipe", "notifications-failing"),
        ("ExecutionFailed", "DisconnectedPipe", "notifications-failing"),
        ("public_routes_throttled", "", "public-routes-throttled"),
    ] {
        let (world, mut night) = quiet().await;
        night.counted.push((metric, resource, 12.0));

        assert_eq!(morning(world, night).await, [expected], "{metric} {resource}");
    }
}

#[tokio::test]
async fn a_launch_day_wakes_nobody() {
    let world = World::start().await;
    let launch = Night { lasting: Lasting::LaunchDay, ..Night::default() };
    assert_eq!(morning(world, launch).await, [""; 0], "nothing has run yet");

    let (world, mut night) = quiet().await;
    for number in 0..6 {
        world.stack.authorize(&format!("acc_launch_{number}"), ADMIN, &json!({})).await.unwrap();
    }
    night.lasting = Lasting::LaunchDay;
    assert_eq!(morning(world, night).await, [""; 0], "many have just started");
}

#[tokio::test]
async fn a_function_that_crashes_is_one_alarm() {
    // Many calls, and so few that they are never five in 5 minutes.
    for calls in [6, 3] {
        let (world, night) = quiet().await;
        crash(world, night, calls).await;
    }
}

async fn crash(world: World, mut night: Night, calls: usize) {
    let broken = [("INTEGRATIONS_TABLE".to_owned(), None)].into();
    let crashing = stack(Options { environment: broken, ..Options::default() }).await;
    for _ in 0..calls {
        night.answers.push(crashing.post_automation(request(ACCOUNT, None).to_string()).await.status);
    }

    assert!(night.answers.iter().all(|status| *status >= 500), "{:?}", night.answers);
    assert_eq!(morning(world, night).await, ["callers-get-5xx"]);
}

#[tokio::test]
async fn a_schedule_that_does_not_run_or_never_to_its_end_is_one_alarm() {
    let world = World::start().await;
    assert_eq!(morning(world, Night::default()).await, ["schedule-did-not-run"]);

    let (world, mut night) = (World::start().await, Night::default());
    world.stack.dynamo.fail_next("Query", AwsFault::Refused, 1_000);
    run(&world, &mut night).await;
    assert_eq!(night.dead_letters, 1);
    assert_eq!(morning(world, night).await, ["schedule-did-not-run"]);
}

#[tokio::test]
async fn a_single_run_that_fails_is_one_alarm() {
    let (world, mut night) = quiet().await;
    world.stack.dynamo.fail_next("Query", AwsFault::Refused, 1_000);
    run(&world, &mut night).await;
    world.stack.dynamo.heal();
    run(&world, &mut night).await;

    assert_eq!(night.dead_letters, 1);
    assert_eq!(morning(world, night).await, ["dead-letters"]);
}

#[tokio::test]
async fn many_refused_authorizations_raise_one_alarm_and_a_few_raise_none() {
    for (accounts, expected) in [(10, vec!["reauthorization-spike"]), (9, vec![])] {
        let (world, mut night) = quiet().await;
        world.stack.hubspot.script_always(Match::token(), refused("invalid_grant", "BAD_REFRESH_TOKEN"));
        for number in 0..accounts {
            plant_due(&world, &format!("acc_{number:02}"), 1, -60, -30).await;
        }
        run(&world, &mut night).await;
        // One that is marked already is tried again, and notified once.
        let due = AttributeValue::N((world.clock.now() - 30).to_string());
        tamper(&world, "acc_00", 1, "refresh_at", Some(due)).await;
        run(&world, &mut night).await;

        assert_eq!(morning(world, night).await, expected);
    }
}

#[tokio::test]
async fn a_mass_refusal_is_one_alarm_from_the_first_withheld_verdict() {
    let (world, mut night) = quiet().await;
    world.stack.hubspot.script_always(Match::token(), refused("invalid_grant", "BAD_REFRESH_TOKEN"));
    let accounts: Vec<String> = (0..11).map(|number| format!("acc_{number:02}")).collect();
    for account in &accounts {
        plant_due(&world, account, 1, -60, -30).await;
    }
    run(&world, &mut night).await;
    execute_all(&world, &mut night, &accounts, 6).await;

    assert_eq!(morning(world, night).await, ["mass-refusal"]);
}

#[tokio::test]
async fn refused_token_writes_are_one_alarm_for_one_integration_and_for_all() {
    for accounts in [1, 12] {
        let (world, mut night) = quiet().await;
        let accounts: Vec<String> = (0..accounts).map(|number| format!("acc_{number:02}")).collect();
        for account in &accounts {
            plant_due(&world, account, 1, -60, -30).await;
        }
        world.stack.secrets_manager.fail_next("PutSecretValue", AwsFault::AccessDenied, 1_000);
        run(&world, &mut night).await;
        if accounts.len() > 1 {
            execute_all(&world, &mut night, &accounts, 6).await;
        }

        assert_eq!(morning(world, night).await, ["token-writes-refused"], "{} accounts", accounts.len());
    }
}

#[tokio::test]
async fn one_refused_token_write_hides_no_other_alarm() {
    let (world, mut night) = quiet().await;
    let accounts = connected(&world, 8).await;
    plant_due(&world, "acc_refused", 1, -60, -30).await;
    world.stack.secrets_manager.fail_next("PutSecretValue", AwsFault::AccessDenied, 1);
    run(&world, &mut night).await;
    world.stack.hubspot.script_always(Match::api(), Fault::Close);
    execute_all(&world, &mut night, &accounts, 1).await;

    let mut fired = morning(world, night).await;
    fired.sort();
    assert_eq!(fired, ["executions-failing", "token-writes-refused"]);
}

#[tokio::test]
async fn a_refresh_that_waits_too_long_is_one_alarm() {
    for (waited, expected) in [(-302, vec!["refresh-lagging"]), (-280, vec![])] {
        let (world, mut night) = quiet().await;
        plant_due(&world, "acc_late", 1, 1, waited).await;
        plant_due(&world, "acc_punctual", 1, 200, -5).await;
        run(&world, &mut night).await;

        assert_eq!(morning(world, night).await, expected);
    }
}

#[tokio::test]
async fn admins_who_never_come_back_are_one_alarm_unless_one_of_them_does() {
    for (who_returns, expected) in [(0, vec!["connects-never-complete"]), (1, vec![])] {
        let (world, night) = quiet().await;
        for number in 0..5 {
            let begun = world.stack.authorize(&format!("acc_begun_{number}"), ADMIN, &json!({})).await.unwrap();
            if number < who_returns {
                let callback = world.stack.decline(&begun).await.unwrap();
                world.stack.finish(&callback, Some(&begun.cookie)).await.unwrap();
            }
        }

        assert_eq!(morning(world, night).await, expected);
    }
}
