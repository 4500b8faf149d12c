//! A client secret is rotated while the real processes work: none of them fails, and nobody is marked.

use std::cell::Cell;
use std::collections::BTreeSet;

use devstack::hubspot::Match;
use futures_util::future::join_all;
use shared::integration::{Integration, Status};
use tokio::sync::watch;

use super::super::{run, run_with};
use super::credentials;
use crate::refresh::planted::{change, plant};
use crate::world::{World, request};

/// As many as there are processes.
const ACCOUNTS: usize = 4;
/// Rounds of load in each phase.
const ROUNDS: usize = 6;

/// The observations of the load.
#[derive(Default)]
struct LoadReport {
    executions: usize,
    failed: Vec<String>,
    reports: Vec<String>,
}

/// The operator's command to the load.
#[derive(Default)]
struct Wishes {
    stop: Cell<bool>,
    /// Half of the processes begin anew, with nothing in memory.
    recycle: Cell<bool>,
}

/// Executions and scheduled runs that all have to refresh, round after round.
async fn load(world: &World, records: &[Integration], wishes: &Wishes, rounds: &watch::Sender<usize>) -> LoadReport {
    let mut met = LoadReport::default();
    while !wishes.stop.get() {
        if wishes.recycle.take() {
            let processes = world.stack.lambda.processes("automation-execute");
            assert!(processes.len() > 1);
            for process in &processes[..processes.len() / 2] {
                world.stack.lambda.kill(process.pid).await;
            }
        }
        let past = world.clock.now() - 1;
        for record in records {
            change(world, record, &[("token_expires_at", Some(past)), ("refresh_at", Some(past))]).await;
        }
        let executions = records.iter().map(async |record| {
            let body = request(record.account_id.as_str(), None).to_string();
            world.stack.post_automation(body).await
        });
        let (answers, report) = tokio::join!(join_all(executions), world.stack.run_schedule_once(None));
        met.executions += answers.len();
        met.failed.extend(answers.iter().filter(|answer| answer.status != 200).map(|answer| answer.text()));
        let report = report.unwrap();
        if ["misconfigured", "revoked", "corrupt", "left"].iter().any(|name| report[*name] != 0) {
            met.reports.push(report.to_string());
        }
        rounds.send_modify(|rounds| *rounds += 1);
    }
    met
}

/// Waits until the load has gone through a phase.
async fn a_phase(rounds: &mut watch::Receiver<usize>) {
    let now = *rounds.borrow_and_update();
    rounds.wait_for(|rounds| *rounds >= now + ROUNDS).await.unwrap();
}

/// The client secrets that HubSpot was shown since the last look.
fn shown(world: &World) -> BTreeSet<String> {
    let requests = world.stack.hubspot.requests_that(&Match::refresh());
    world.stack.hubspot.forget_requests();
    let secret = |(name, value): (String, String)| (name == "client_secret").then_some(value);
    requests.iter().filter_map(|request| request.form().into_iter().find_map(secret)).collect()
}

fn used_previous(world: &World) -> usize {
    let lines = world.stack.lambda.logs().lines();
    lines.iter().filter(|line| line.text.contains(r#""previous_app_secret_used":1"#)).count()
}

#[tokio::test]
async fn a_rotation_under_load_fails_no_execution_and_marks_nobody() {
    let world = World::start().await;
    let (_, old) = credentials(&world);
    let mut records = Vec::new();
    for number in 0..ACCOUNTS {
        records.push(plant(&world, &format!("acc_{number}"), 1).await);
    }
    let (wishes, (rounds, mut passed)) = (Wishes::default(), watch::channel(0));
    let operator = async {
        a_phase(&mut passed).await;
        let rotated = run_with(&world.stack, &["app-secret", "rotate", "--yes"], "the-new-secret").await;
        // HubSpot knows the old one alone, and functions that begin now have the new one first.
        wishes.recycle.set(true);
        a_phase(&mut passed).await;
        let early = used_previous(&world);
        world.stack.hubspot.rotate_client_secret(&old);
        world.stack.hubspot.add_client_secret("the-new-secret");
        a_phase(&mut passed).await;
        world.stack.hubspot.rotate_client_secret("the-new-secret");
        a_phase(&mut passed).await;
        let (used, _) = (used_previous(&world), shown(&world));
        a_phase(&mut passed).await;
        let used = (early, used, used_previous(&world));
        let finished = run(&world.stack, &["app-secret", "rotate", "--finish", "--yes"]).await;
        a_phase(&mut passed).await;
        wishes.stop.set(true);
        (rotated, finished, used)
    };

    let (met, (rotated, finished, used)) = tokio::join!(load(&world, &records, &wishes, &rounds), operator);

    assert!(met.failed.is_empty() && met.reports.is_empty(), "{:?} {:?}", met.failed, met.reports);
    assert!(met.executions >= 6 * ROUNDS * ACCOUNTS, "{}", met.executions);
    assert_eq!((rotated.code, finished.code), (0, 0), "{rotated:?} {finished:?}");
    for record in &records {
        let now = world.record(record.account_id.as_str(), 1).await.unwrap();
        assert_eq!((now.status, now.failures), (Status::Active, None), "{now:?}");
    }
    assert!(used.0 > 0, "functions that had the new one used the old one while HubSpot knew no other");
    assert_eq!(used.1, used.2, "once HubSpot knows the new one, nobody uses the old one");
    assert_eq!(shown(&world), BTreeSet::from(["the-new-secret".to_owned()]));
}

#[tokio::test]
async fn the_use_of_the_previous_secret_is_a_metric() {
    let world = World::start().await;
    let record = plant(&world, "acc_1", 1).await;
    run_with(&world.stack, &["app-secret", "rotate", "--yes"], "the-new-secret").await;
    let execute = async || {
        change(&world, &record, &[("token_expires_at", Some(world.clock.now() - 1))]).await;
        world.stack.post_automation(request("acc_1", None).to_string()).await.status
    };

    let before = (execute().await, used_previous(&world));
    world.stack.hubspot.rotate_client_secret("the-new-secret");
    let after = (execute().await, used_previous(&world));

    assert_eq!((before, after), ((200, 1), (200, 1)));
}
