//! Thousands of requests under random faults, sent again only where `retryable` says so, when `Retry-After` says so.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use devstack::hubspot::PORTAL;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::judge::{EngineReply, read_reply};
use super::{dice, effects, marks, random_faults, say, seed, setting};
use crate::idempotency::unmarked;
use crate::world::{ADMIN, World};

/// Worlds beside each other, so that one works while another waits.
const LANES: u64 = 4;
/// Accounts of a world, each with a portal of its own.
const ACCOUNTS: usize = 3;
/// Executions at once in a world.
const AT_ONCE: usize = 24;
/// Deliveries of one request at most: every run ends.
const MOST_DELIVERIES: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RequestForm {
    Create,
    Patch,
    Put,
    Delete,
    Get,
    Search,
    /// Of an integration that the account does not have.
    Stranger,
    /// To a path that no automation may call.
    Forbidden,
}

impl RequestForm {
    fn roll(seed: u64, nth: usize) -> Self {
        match dice(seed, "kind", nth, 20) {
            0..=6 => Self::Create,
            7..=9 => Self::Patch,
            10..=12 => Self::Put,
            13 | 14 => Self::Delete,
            15 | 16 => Self::Get,
            17 | 18 => Self::Search,
            _ if dice(seed, "nobody", nth, 2) == 0 => Self::Stranger,
            _ => Self::Forbidden,
        }
    }

    fn is_idempotent(self) -> bool {
        matches!(self, Self::Put | Self::Delete | Self::Get | Self::Search)
    }

    fn is_never_sent(self) -> bool {
        matches!(self, Self::Stranger | Self::Forbidden)
    }
}

/// One request of the engine, until its final reply.
struct Job {
    mark: String,
    kind: RequestForm,
    account: usize,
    /// The object that it is about, if any.
    id: u64,
    body: Value,
    keyed: bool,
    /// True if it is delivered twice at once.
    twice: bool,
    /// When it is sent next, by the clock of all.
    due: i64,
    replies: Vec<EngineReply>,
    last: Option<EngineReply>,
}

fn portal(account: usize) -> u64 {
    PORTAL + account as u64
}

async fn connected(world: &World) {
    for account in 0..ACCOUNTS {
        world.stack.hubspot.add_portal(portal(account));
        let begun = world.stack.authorize(&format!("acc_{account}"), ADMIN, &json!({})).await.unwrap();
        let callback = world.stack.consent_for(&begun, portal(account)).await.unwrap();
        assert_eq!(world.stack.finish(&callback, Some(&begun.cookie)).await.unwrap(), "connected");
        world.stack.hubspot.set_granted_scopes(
            portal(account),
            &["crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.companies.write"],
        );
    }
}

fn job(world: &World, seed: u64, nth: usize) -> Job {
    let (kind, account) = (RequestForm::roll(seed, nth), nth % ACCOUNTS);
    let (mark, hubspot, portal) = (format!("{seed}-{nth}"), &world.stack.hubspot, portal(account));
    let contact = |wanted: bool| if wanted { hubspot.create_object(portal, "contacts", &[]) } else { 0 };
    let id = contact(!matches!(kind, RequestForm::Create | RequestForm::Search | RequestForm::Forbidden));
    let one = format!("/crm/v3/objects/contacts/{id}");
    let (method, endpoint, body) = match kind {
        RequestForm::Create | RequestForm::Stranger => {
            let properties = json!({"hs_timestamp": "1700000000000", "hs_note_body": mark});
            ("POST", "/crm/v3/objects/notes".to_owned(), json!({"properties": properties}))
        }
        RequestForm::Patch => ("PATCH", one, json!({"properties": {"phone": mark}})),
        RequestForm::Put => {
            let company = hubspot.create_object(portal, "companies", &[]);
            let endpoint = format!("/crm/v4/objects/contacts/{id}/associations/default/companies/{company}");
            ("PUT", endpoint, Value::Null)
        }
        RequestForm::Delete => ("DELETE", one, Value::Null),
        RequestForm::Get => ("GET", one, Value::Null),
        RequestForm::Search => ("POST", "/crm/v3/objects/contacts/search".to_owned(), json!({"limit": 1})),
        RequestForm::Forbidden => ("POST", "/oauth/2026-03/token".to_owned(), json!({})),
    };
    let mut request = json!({
        "account_id": format!("acc_{account}"),
        "deadline_ms": 2500,
        "request": {"method": method, "endpoint": endpoint, "query": {"n": mark}},
    });
    if !body.is_null() {
        request["request"]["body"] = body;
    }
    if kind == RequestForm::Stranger {
        request["integration_id"] = json!("nobodys");
    }
    // Writes carry a key mostly, reads seldom.
    let keyed = dice(seed, "keyed", nth, 10) < if kind.is_idempotent() { 3 } else { 8 };
    if keyed {
        request["idempotency_key"] = json!(mark);
    }
    let twice = keyed && dice(seed, "twice", nth, 6) == 0;
    Job { mark, kind, account, id, body: request, keyed, twice, due: 0, replies: Vec::new(), last: None }
}

/// Delivers one job once, or twice at once, and reads the engine's answers.
async fn deliver(world: &World, job: &Job) -> Vec<EngineReply> {
    let text = job.body.to_string();
    if !job.twice {
        return vec![read_reply(&world.execute_text(&text).await)];
    }
    let (one, other) = tokio::join!(world.execute_text(&text), world.execute_text(&text));
    let replies = vec![read_reply(&one), read_reply(&other)];
    // Of a read nothing is stored: each delivery executes.
    let reads = matches!(job.kind, RequestForm::Get | RequestForm::Search);
    if replies.iter().all(|reply| !reply.retryable) && !job.kind.is_never_sent() && !reads {
        assert_eq!(unmarked(&one.text), unmarked(&other.text), "{}: two final replies differ", job.mark);
    }
    replies
}

/// The engine's reaction to its answers.
fn obey(job: &mut Job, told: Vec<EngineReply>, now: i64) {
    job.last = told.iter().find(|reply| !reply.retryable).cloned();
    let wait = told.iter().filter_map(|reply| reply.retry_after).max().unwrap_or(1);
    job.due = now + i64::try_from(wait).unwrap() * 1000;
    job.replies.extend(told);
    assert!(job.replies.len() < MOST_DELIVERIES * 2, "{} does not end: {:?}", job.mark, job.replies);
}

/// Checks every answer so far to a job.
fn check(job: &Job, effects: usize) {
    let context = format!(
        "{} {:?} keyed {} last {:?}: {effects} effects, {:?}",
        job.mark, job.kind, job.keyed, job.last, job.replies
    );
    let success = |reply: &EngineReply| reply.hubspot.is_some_and(|status| status < 300);
    if job.replies.iter().all(|reply| reply.outcome == "not_sent") {
        assert_eq!(effects, 0, "said to be unsent: {context}");
    }
    assert!(!job.replies.iter().any(success) || effects >= 1, "said to be done: {context}");
    if job.kind.is_idempotent() {
        // But for a time-out that was repeated under its key.
        let timed_out = |reply: &EngineReply| reply.code.as_deref() == Some("hubspot_timeout") && job.keyed;
        let known = |reply: &EngineReply| reply.outcome != "unknown" || timed_out(reply);
        assert!(job.last.as_ref().is_none_or(known), "it may be repeated: {context}");
        return;
    }
    assert!(effects <= 1, "done twice: {context}");
    let harmless = |reply: &EngineReply| match reply.hubspot {
        Some(status) => reply.outcome == "answered" && status >= 300,
        None => reply.outcome == "not_sent" || reply.code.as_deref() == Some("execution_in_progress"),
    };
    assert!(effects == 0 || !job.replies.iter().all(harmless), "said not to be done: {context}");
}

/// Executes all jobs that are due, and lets time pass as the engine waits.
async fn run(world: &World, seed: u64, jobs: &mut [Job]) -> usize {
    let (mut round, mut deliveries) = (0, 0);
    while jobs.iter().any(|job| job.last.is_none()) {
        let now = world.clock.now_millis();
        // New ones come a twelfth at a time.
        let open = jobs.len() * (round + 1) / 12 + 1;
        let due: Vec<usize> =
            (0..jobs.len().min(open)).filter(|at| jobs[*at].last.is_none() && jobs[*at].due <= now).collect();
        let told = futures_util::stream::iter(due.into_iter().map(|at| {
            let job = &jobs[at];
            async move { (at, deliver(world, job).await) }
        }));
        let told: Vec<(usize, Vec<EngineReply>)> = told.buffer_unordered(AT_ONCE).collect().await;
        let effects = effects(world);
        for (at, replies) in told {
            deliveries += replies.len();
            obey(&mut jobs[at], replies, now);
            check(&jobs[at], effects.get(&jobs[at].mark).copied().unwrap_or_default());
        }
        let pass = [3, 10, 30, 60, 60, 900, 1000, 1900][usize::try_from(dice(seed, "pass", round, 8)).unwrap()];
        world.pass(Duration::from_secs(pass));
        // The other way of ending a token's life: HubSpot's word, which is believed of a token that is not young.
        if dice(seed, "expire", round, 5) == 0 {
            world.pass(Duration::from_secs(16 * 60));
            world.stack.hubspot.expire_access_tokens();
        }
        round += 1;
    }
    deliveries
}

/// The state at HubSpot of what was asked for once or repeated without harm.
fn check_the_end(world: &World, jobs: &[Job]) {
    let mut contacts: HashMap<(usize, u64), Value> = HashMap::new();
    let mut notes: HashMap<String, usize> = HashMap::new();
    for account in 0..ACCOUNTS {
        for contact in world.stack.hubspot.objects(portal(account), "contacts") {
            contacts.insert((account, contact["id"].as_str().unwrap().parse().unwrap()), contact);
        }
        for note in world.stack.hubspot.objects(portal(account), "notes") {
            *notes.entry(note["properties"]["hs_note_body"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    for job in jobs {
        let done = job.last.as_ref().unwrap().hubspot.is_some_and(|status| status < 300);
        let there = contacts.get(&(job.account, job.id));
        match job.kind {
            RequestForm::Create => {
                assert!(notes.get(&job.mark).is_some_and(|count| *count == 1) || !done, "{}", job.mark)
            }
            RequestForm::Patch => assert!(there.unwrap()["properties"]["phone"] == job.mark || !done, "{}", job.mark),
            RequestForm::Put => {
                let linked = world.stack.hubspot.associated(portal(job.account), ("contacts", job.id), "companies");
                assert!(linked.len() == 1 || !done, "{}", job.mark);
            }
            RequestForm::Delete => assert!(there.is_none() || !done, "{}", job.mark),
            RequestForm::Get => assert!(there.is_some()),
            RequestForm::Search => {}
            RequestForm::Stranger | RequestForm::Forbidden => assert!(!notes.contains_key(&job.mark)),
        }
    }
    assert!(notes.values().all(|count| *count == 1), "a note is there twice");
}

type Figures = BTreeMap<String, usize>;

/// One world's part of the requests, and what was counted.
async fn lane(seed: u64, requests: usize) -> Figures {
    let world = World::start().await;
    world.stack.hubspot.set_rate_limit(None);
    connected(&world).await;
    let mut jobs: Vec<Job> = (0..requests).map(|nth| job(&world, seed, nth)).collect();
    world.stack.hubspot.set_random_faults(seed, random_faults::hubspot);
    world.stack.dynamo.set_random_faults(seed, random_faults::dynamo);
    world.stack.secrets_manager.set_random_faults(seed, random_faults::secrets);

    let deliveries = run(&world, seed, &mut jobs).await;

    check_the_end(&world, &jobs);
    let mut figures = Figures::from([("deliveries".to_owned(), deliveries)]);
    let (effects, received) = (effects(&world), marks(&world.stack.hubspot.api_requests()));
    for job in &jobs {
        let last = job.last.as_ref().unwrap();
        assert_eq!(last.outcome == "not_sent", job.kind.is_never_sent(), "{} {last:?}: {:?}", job.mark, job.replies);
        count(&mut figures, job, effects.get(&job.mark).copied().unwrap_or_default());
        // Its owner had noted that it sends, did not, and could not take the note back: truthful, and a write less.
        if last.outcome == "unknown" && !received.contains_key(&job.mark) {
            *figures.entry("unknown, and HubSpot never got it".to_owned()).or_default() += 1;
        }
    }
    figures
}

fn count(figures: &mut Figures, job: &Job, done: usize) {
    let (last, times) =
        (job.last.as_ref().unwrap(), if done > 1 { "more than once".to_owned() } else { done.to_string() });
    let what = if job.kind.is_idempotent() { "harmless" } else { "write" };
    let keyed = if job.keyed { "with a key" } else { "without" };
    let success = last.hubspot.is_some_and(|status| status < 300);
    let last = format!("{what} {keyed}: {} success {success}, done {times}", last.outcome);
    *figures.entry(last).or_default() += 1;
    for reply in &job.replies {
        let said = reply.code.clone().unwrap_or_else(|| reply.hubspot.unwrap_or_default().to_string());
        *figures.entry(format!("reply {said} {} retryable {}", reply.outcome, reply.retryable)).or_default() += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_obeys_only_retryable_neither_loses_nor_doubles_a_write() {
    let (requests, seed) = (setting("ENGINE_REQUESTS", 1000), seed());
    say(&format!("ENGINE_SEED={seed} ENGINE_REQUESTS={requests}"));
    let part = usize::try_from(requests.div_ceil(LANES)).unwrap();

    let lanes = futures_util::future::join_all((0..LANES).map(|lane_no| lane(seed + lane_no, part))).await;

    let mut all = Figures::new();
    for (name, figure) in lanes.into_iter().flatten() {
        *all.entry(name).or_default() += figure;
    }
    say(&format!("{all:#?}"));
    for code in ["rate_limited", "temporarily_unavailable", "hubspot_unreachable", "execution_in_progress"] {
        let said = all.keys().any(|name| name.contains(code));
        assert!(said, "the faults never caused {code}");
    }
}
