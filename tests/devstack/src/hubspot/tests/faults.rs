//! Misbehaviour, as planned and no more.

use tokio::time::Instant;

use super::*;
use crate::wire::Answer;

impl World {
    async fn begin_to_create(&self) -> Result<reqwest::Response, reqwest::Error> {
        let call = self.request("POST", CONTACTS).bearer_auth(&self.issued.access_token);
        call.header("content-type", "application/json").body(r#"{"properties":{}}"#).send().await
    }

    /// Creates a contact; reads the whole answer.
    async fn create(&self) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let answer = self.begin_to_create().await?;
        Ok((answer.status().as_u16(), answer.bytes().await?.to_vec()))
    }
}

#[tokio::test]
async fn scripted_answers_come_in_order_to_what_matches_and_then_all_is_well() {
    let world = World::start().await;
    let gone = Fault::status(503).header("retry-after", "7");
    world.hubspot.script(Match::path("/crm/").method("POST"), [Fault::status(423), Fault::Pass, gone]);

    assert_eq!((world.call("GET", CONTACTS, None).await.status, world.hubspot.faults_left()), (200, 3));
    for status in [423, 201, 503, 201] {
        assert_eq!(world.create().await.unwrap().0, status);
    }

    assert_eq!(world.hubspot.acted(&Match::api().method("POST")), 2);
    world.hubspot.script_always(Match::api(), Fault::rate_limited("DAILY"));
    for _ in 0..2 {
        assert_eq!(world.create().await.unwrap().0, 429);
    }
    world.hubspot.clear_scripts();
    assert_eq!(world.create().await.unwrap().0, 201);
}

#[tokio::test]
async fn each_fault_ends_the_call_before_or_after_its_effect() {
    let (before, after) = (0, 1);
    let gzip = Answer::declared_gzip(200, "no gzip");
    let raw = |bytes: &[u8]| Fault::Raw(bytes.to_vec());
    let cases = [
        (Fault::CloseUnread, before, None),
        (Fault::AnswerUnread(Answer::html(413, "early")), before, Some((413, "early"))),
        (Fault::Close, before, None),
        (Fault::Reset, before, None),
        (Fault::Answer(gzip), before, Some((200, "no gzip"))),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: \xff\r\n\r\nhi"), before, Some((200, "hi"))),
        (raw(b"nonsense\r\n\r\n"), before, None),
        (Fault::CloseAfterEffect, after, None),
        (Fault::AnswerAfterEffect(Answer::redirect(307, "https://evil.example/")), after, Some((307, ""))),
        (Fault::Cut(9), after, None),
        (Fault::Cut(200), after, None),
        (Fault::CutBody(5), after, None),
        (Fault::WrongLength(5), after, None),
        (Fault::Long(3), after, Some((201, "xxx"))),
    ];

    for (fault, effects, answer) in cases {
        let world = World::start().await;
        world.hubspot.script(Match::api().method("POST"), [fault.clone()]);
        let ended = world.create().await.ok();
        assert_eq!(ended, answer.map(|(status, body)| (status, body.as_bytes().to_vec())), "{fault:?}");
        let contacts = world.hubspot.objects(PORTAL, "contacts").len();
        assert_eq!((contacts, world.hubspot.api_requests().len()), (effects, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn slow_endless_and_stalled_answers_take_their_time() {
    let world = World::start().await;
    let (pause, hour) = (Duration::from_millis(5), Duration::from_secs(3600));
    let stalled = [Fault::Stall(hour), Fault::StallAnswer(hour), Fault::StallBody(5)];
    world.hubspot.script(Match::api(), [Fault::Slow { piece: 50, pause }, Fault::Stall(10 * pause), Fault::Endless]);
    world.hubspot.script(Match::api(), stalled);

    let begun = Instant::now();
    let (_, slow) = world.create().await.unwrap();
    assert!(begun.elapsed() >= pause * u32::try_from(slow.len() / 50).unwrap());
    let begun = Instant::now();
    assert_eq!(world.create().await.unwrap().0, 201);
    assert!(begun.elapsed() >= 10 * pause);
    let mut endless = world.begin_to_create().await.unwrap();
    let mut read = 0;
    while read < 2_000_000 {
        read += endless.chunk().await.unwrap().unwrap().len();
    }

    let effects = async {
        world.hubspot.wait_for_requests(&Match::api(), 6).await;
        while world.hubspot.acted(&Match::api()) < 5 {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(20 * pause).await;
    };
    tokio::select! {
        _ = world.create() => panic!("it is stalled"),
        _ = world.create() => panic!("its answer is stalled"),
        _ = world.create() => panic!("its body is stalled"),
        () = effects => {}
    }
}
