//! Misbehaviour, as planned and no more.

use tokio::time::Instant;

use super::*;

struct World {
    hubspot: HubSpot,
    http: Client,
    token: String,
}

impl World {
    async fn start() -> Self {
        let (hubspot, http) = super::start().await;
        let token = hubspot.authorize(PORTAL, &[READ, WRITE]).access_token;
        Self { hubspot, http, token }
    }

    /// Creates a contact; reads the whole answer.
    async fn create(&self) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let call = self.http.post(format!("{}/crm/v3/objects/contacts", self.hubspot.url())).bearer_auth(&self.token);
        let answer = call.header("content-type", "application/json").body(r#"{"properties":{}}"#).send().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }

    fn script(&self, fault: Fault) {
        self.hubspot.script(Match::api().method("POST"), [fault]);
    }

    fn contacts(&self) -> usize {
        self.hubspot.objects(PORTAL, "contacts").len()
    }
}

#[tokio::test]
async fn scripted_answers_come_in_order_to_what_matches_and_then_all_is_well() {
    let world = World::start().await;
    let gone = Fault::status(503).header("retry-after", "7");
    world.hubspot.script(Match::path("/crm/").method("POST"), [Fault::status(423), Fault::Pass, gone]);

    let (status, _) = call(&world.hubspot, &world.http, "GET", "/crm/v3/objects/contacts", &world.token, None).await;
    assert_eq!((status, world.hubspot.faults_left()), (200, 3));
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(world.create().await.unwrap().0);
    }

    assert_eq!(answers, [423, 201, 503, 201]);
    assert_eq!((world.contacts(), world.hubspot.faults_left()), (2, 0));
}

#[tokio::test]
async fn a_standing_fault_lasts_until_it_is_cleared() {
    let world = World::start().await;
    world.hubspot.script_always(Match::api(), Fault::rate_limited("DAILY"));

    for _ in 0..3 {
        let (status, body) = world.create().await.unwrap();
        assert_eq!(status, 429);
        assert!(String::from_utf8_lossy(&body).contains("\"policyName\":\"DAILY\""));
    }
    world.hubspot.clear_scripts();
    assert_eq!(world.create().await.unwrap().0, 201);
}

#[tokio::test]
async fn connections_close_before_or_after_the_effect() {
    let world = World::start().await;
    let cases = [
        (Fault::CloseUnread, 0),
        (Fault::Close, 0),
        (Fault::Reset, 0),
        (Fault::CloseAfterEffect, 1),
        (Fault::Cut(9), 2),
    ];

    for (fault, contacts) in cases {
        world.script(fault.clone());
        world.create().await.unwrap_err();
        assert_eq!(world.contacts(), contacts, "{fault:?}");
    }
    assert_eq!(world.hubspot.api_requests().len(), 5);
    assert!(!world.hubspot.api_requests()[0].complete);
}

#[tokio::test]
async fn bodies_break_off_lie_about_their_length_and_trickle() {
    let world = World::start().await;
    world.script(Fault::Cut(200));
    world.create().await.unwrap_err();
    world.script(Fault::WrongLength(5));
    world.create().await.unwrap_err();
    let slow = Fault::Slow { piece: 50, pause: Duration::from_millis(5) };
    world.script(slow);

    let begun = Instant::now();
    let (status, body) = world.create().await.unwrap();

    assert!(status == 201 && serde_json::from_slice::<Value>(&body).is_ok());
    assert!(begun.elapsed() >= Duration::from_millis(5) * u32::try_from(body.len() / 50).unwrap());
}

#[tokio::test]
async fn answers_can_be_cut_or_early_and_effects_are_counted() {
    let world = World::start().await;
    let early = Fault::AnswerUnread(wire::Answer::html(413, "early"));
    for fault in [Fault::CutBody(5), Fault::StallBody(5), Fault::Long(9_000_000), early] {
        world.script(fault);
    }

    world.create().await.unwrap_err();
    let stalled = tokio::time::timeout(Duration::from_millis(200), world.create()).await;
    let (_, long) = world.create().await.unwrap();
    let early = world.create().await.unwrap();

    assert!(stalled.is_err(), "nothing comes any more");
    assert_eq!((long.len(), early), (9_000_000, (413, b"early".to_vec())));
    assert_eq!((world.contacts(), world.hubspot.acted(&Match::api().method("POST"))), (3, 3));
    assert_eq!(world.hubspot.count(&Match::api().target("/contacts")), 4);
    assert_eq!(world.hubspot.count(&Match::api().target("/companies")), 0);
}

#[tokio::test]
async fn a_body_never_ends_until_the_client_has_enough() {
    let world = World::start().await;
    world.script(Fault::Endless);
    let call = world.http.post(format!("{}/crm/v3/objects/contacts", world.hubspot.url())).bearer_auth(&world.token);
    let mut answer = call.header("content-type", "application/json").body(r#"{"properties":{}}"#).send().await.unwrap();

    let mut read = 0;
    while read < 2_000_000 {
        read += answer.chunk().await.unwrap().unwrap().len();
    }

    assert_eq!(world.contacts(), 1);
}

#[tokio::test]
async fn any_answer_can_be_given_redirects_and_false_encodings_too() {
    let world = World::start().await;
    let redirect = wire::Answer::redirect(307, "https://evil.example/");
    let gzip = wire::Answer::declared_gzip(200, "no gzip");
    world.script(Fault::AnswerAfterEffect(redirect));
    world.script(Fault::Answer(gzip));
    world.script(Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \xff\r\n\r\nhi".to_vec()));
    world.script(Fault::Raw(b"nonsense\r\n\r\n".to_vec()));

    assert_eq!(world.create().await.unwrap().0, 307);
    assert_eq!(world.create().await.unwrap(), (200, b"no gzip".to_vec()));
    assert_eq!(world.create().await.unwrap(), (200, b"hi".to_vec()));
    world.create().await.unwrap_err();
    assert_eq!(world.contacts(), 1);
}

#[tokio::test]
async fn an_echo_shows_the_token_that_came() {
    let world = World::start().await;
    world.script(Fault::Echo);

    let (status, body) = world.create().await.unwrap();

    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&body).contains(&world.token));
}

#[tokio::test]
async fn a_stalled_call_takes_effect_late_and_a_stalled_answer_at_once() {
    let world = World::start().await;
    let long = Duration::from_secs(3600);

    world.script(Fault::Stall(Duration::from_millis(50)));
    let begun = Instant::now();
    assert_eq!(world.create().await.unwrap().0, 201);
    assert!(begun.elapsed() >= Duration::from_millis(50));

    world.script(Fault::Stall(long));
    world.script(Fault::StallAnswer(long));
    let effect = async {
        while world.contacts() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = async { tokio::join!(world.create(), world.create()) } => panic!("both are stalled"),
        () = effect => {}
    }
    assert_eq!((world.contacts(), world.hubspot.api_requests().len()), (2, 3));
}

#[tokio::test]
async fn token_calls_stand_at_a_gate_before_or_after_their_effect() {
    let (hubspot, http) = start().await;
    hubspot.set_rotation(Rotation::Strict);
    let token = hubspot.authorize(PORTAL, &[READ]).refresh_token;
    let ask = || {
        let (hubspot, http, token) = (hubspot.clone(), http.clone(), token.clone());
        tokio::spawn(async move { refresh(&hubspot, &http, &token).await.0 })
    };

    let gate = hubspot.hold(Match::refresh(), At::Before);
    let lost = ask();
    gate.reached(1).await;
    hubspot.wait_for_requests(&Match::token(), 1).await;
    gate.lose();
    assert!(lost.await.is_err(), "the call ends without an answer");

    let gate = hubspot.hold_from(Match::refresh(), 1, At::After);
    let held = ask();
    gate.reached(1).await;
    assert_eq!((gate.standing(), held.is_finished()), (1, false));
    gate.open();
    assert_eq!(held.await.unwrap(), 200);
    assert_eq!((ask().await.unwrap(), hubspot.refresh_token_reuses()), (400, 1));
}
