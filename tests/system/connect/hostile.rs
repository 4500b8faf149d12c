//! Callbacks that nobody started, or that come from where they should not.

use devstack::hubspot::{Match, PORTAL};
use devstack::stack::Options;
use devstack::wire::At;
use futures_util::future::join_all;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::{NOTHING, Traces, begin, begun, connect, connected_account, finish, outcome, traces};
use crate::histories::setting;
use crate::world::{ACCOUNT, ADMIN, Answer, World};

/// Attack inputs of our own; with `ATTACK_INPUTS`, those of that folder too.
fn attacks() -> Vec<String> {
    let own = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "//evil.example/%2f..",
        "https://evil.example",
        "\r\nSet-Cookie: a=b\r\nLocation: https://evil.example",
        "%0d%0aLocation:%20https://evil.example",
        "{{7*7}}${7*7}",
        "\0\u{202e}\u{feff}",
        "' OR '1'='1",
    ];
    let mut all: Vec<String> = own.map(str::to_owned).into();
    #[expect(clippy::disallowed_methods, reason = "the inputs lie outside the repository")]
    if let Ok(folder) = std::env::var("ATTACK_INPUTS") {
        for file in ["xss-polyglots.txt", "xss-rsnake.txt", "open-redirects.txt"] {
            let bytes = std::fs::read(std::path::Path::new(&folder).join(file)).unwrap();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            all.extend(text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        }
    }
    all
}

fn query(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// The whole answer, for comparison.
fn whole(answer: &Answer) -> String {
    format!("{answer:?}")
}

#[tokio::test]
async fn a_used_state_repeats_its_outcome_to_its_browser_and_exchanges_nothing() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    assert_eq!(outcome(&world, &world.callback(&query, &[&begun.cookie]).await), "connected");

    let repeated = world.callback(&query, &[&begun.cookie]).await;
    let with_a_second_code = finish(&world, &begun).await;
    let in_another_browser = world.callback(&query, &[]).await;

    assert_eq!(outcome(&world, &repeated), "connected");
    assert_eq!(with_a_second_code, "connected", "the outcome that it had");
    assert_eq!(outcome(&world, &in_another_browser), "expired");
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn a_repeated_callback_waits_for_the_first_one() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    let gate = world.stack.hubspot.hold(Match::exchange(), At::After);
    let cookies = [begun.cookie.as_str()];
    let looked = world.stack.dynamo.count("GetItem");

    let (first, second, ()) = tokio::join!(
        world.callback(&query, &cookies),
        async {
            world.stack.hubspot.wait_for_requests(&Match::exchange(), 1).await;
            world.callback(&query, &cookies).await
        },
        async {
            world.stack.dynamo.wait_for_calls("GetItem", looked + 1).await;
            gate.open();
        }
    );

    assert_eq!((outcome(&world, &first), outcome(&world, &second)), ("connected".into(), "connected".into()));
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn a_repeated_callback_fails_if_the_first_one_died() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    let gate = world.stack.hubspot.hold(Match::exchange(), At::Before);
    {
        let cookies = [begun.cookie.as_str()];
        let first = world.callback(&query, &cookies);
        tokio::select! {
            _ = first => panic!("the exchange is held"),
            () = gate.reached(1) => {}
        }
    }
    world.clock.skip_waits();

    let second = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &second), "failed");
    assert_eq!(traces(&world).await.records, 0);
    gate.open();
}

#[tokio::test]
async fn a_prefetch_consumes_nothing() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);

    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("Sec-Purpose", "prefetch;anonymous-client-ip"),
        ("purpose", "prefetch"),
        ("Purpose", "Prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ] {
        let answer = world.callback_with(&query, &[&begun.cookie], &[(name, value)]).await;

        assert_eq!((answer.status, answer.text.as_str()), (425, ""), "{name}: {value}");
        assert!(!answer.headers.contains_key("location"), "{name}: {value}");
    }
    assert_eq!(world.stack.dynamo.count("UpdateItem"), 0);
    assert_eq!(traces(&world).await, NOTHING);
    assert_eq!(outcome(&world, &world.callback(&query, &[&begun.cookie]).await), "connected");
}

#[tokio::test]
async fn a_forged_state_or_the_hash_of_one_is_expired_whatever_the_cookies() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);

    for state in ["A".repeat(43), shared::crypto::sha256_hex(begun.state())] {
        let named = format!("__Host-hubspot-{}=x", &shared::crypto::sha256_hex(&state)[..8]);
        for cookies in [vec![], vec![begun.cookie.as_str()], vec![named.as_str()]] {
            let answer = world.callback(&query.replace(&begun.state(), &state), &cookies).await;

            assert_eq!(outcome(&world, &answer), "expired", "{state} {cookies:?}");
        }
    }
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn a_code_with_the_state_of_another_authorization_connects_nobody() {
    let world = World::start().await;
    let mine = begin(&world, ACCOUNT, &json!({})).await;
    let theirs = begin(&world, "acc_attacker", &json!({})).await;
    let swapped = theirs.accept(&world, PORTAL).replace(&theirs.state(), &mine.state());

    let answer = world.callback(&swapped, &[&mine.cookie, &theirs.cookie]).await;

    assert_eq!(outcome(&world, &answer), "failed");
    assert_eq!(traces(&world).await, Traces { exchanges: 1, ..NOTHING });
    assert!(world.stack.records("acc_attacker").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_callback_that_an_attacker_sends_to_a_victim_is_another_browsers() {
    let world = World::start().await;
    let victim = begin(&world, ACCOUNT, &json!({})).await;
    let attacker = begin(&world, "acc_attacker", &json!({})).await;
    let query = attacker.accept(&world, PORTAL);

    let answer = world.callback(&query, &[&victim.cookie]).await;

    assert_eq!(outcome(&world, &answer), "other-browser");
    assert_eq!(world.stack.hubspot.count(&Match::exchange()), 0);
}

#[tokio::test]
async fn another_browser_gets_a_page_and_the_right_one_can_still_finish() {
    let (world, begun) = begun().await;
    let other = begin(&world, ACCOUNT, &json!({})).await;
    let query = begun.accept(&world, PORTAL);
    let name = begun.cookie.split_once('=').unwrap().0;
    let (wrong, empty) = (format!("{name}={}", "A".repeat(43)), format!("{name}="));
    let renamed = begun.cookie.replacen("__Host-", "", 1);
    let hashed = format!("{name}={}", shared::crypto::sha256_hex(begun.cookie.split_once('=').unwrap().1));

    for cookies in [
        vec![],
        vec![wrong.as_str()],
        vec![empty.as_str()],
        vec![other.cookie.as_str()],
        vec![renamed.as_str()],
        vec![hashed.as_str()],
        vec![wrong.as_str(), begun.cookie.as_str()],
        vec![begun.cookie.as_str(), wrong.as_str()],
    ] {
        let answer = world.callback(&query, &cookies).await;

        assert_eq!(outcome(&world, &answer), "other-browser", "{cookies:?}");
        assert!(answer.cookies.is_empty(), "the right browser keeps its cookie");
    }
    assert_eq!(traces(&world).await, NOTHING);
    assert_eq!(outcome(&world, &world.callback(&query, &[&begun.cookie]).await), "connected");
}

#[tokio::test]
async fn a_browser_without_a_cookie_and_one_with_another_get_different_advice() {
    let (world, begun) = begun().await;
    let other = begin(&world, ACCOUNT, &json!({})).await;
    let query = begun.accept(&world, PORTAL);
    let wrong = format!("{}=wrong", begun.cookie.split_once('=').unwrap().0);

    for (cookies, reason) in [
        (vec![], "no-cookie"),
        (vec!["session=1; hubspot-00000000=x"], "no-cookie"),
        (vec![wrong.as_str()], "another-cookie"),
        (vec![other.cookie.as_str()], "another-cookie"),
    ] {
        let answer = world.callback(&query, &cookies).await;

        let place = &answer.headers["location"];
        assert!(place.ends_with(&format!("/other-browser?reason={reason}")), "{cookies:?}: {place}");
        let path = place.strip_prefix(world.stack.public_url()).unwrap();
        let page = world.stack.call("GET", path, &[], "").await.text();
        assert_eq!(page.contains("Safari"), reason == "no-cookie", "{page}");
        assert_eq!(page.contains("keeps our cookies"), reason == "another-cookie", "{page}");
    }
}

#[tokio::test]
async fn a_refused_callback_logs_its_cause_and_the_account() {
    let world = World::start().await;
    let begun = world.stack.authorize(ACCOUNT, ADMIN, &json!({})).await.unwrap();
    let callback = world.stack.consent(&begun).await.unwrap();
    let wrong = format!("{}=wrong", begun.cookie.split_once('=').unwrap().0);
    let unknown = format!("{}/oauth/hubspot/callback?code=a&state=b", world.stack.public_url());

    world.stack.finish(&callback, None).await.unwrap();
    world.stack.finish(&callback, Some(&wrong)).await.unwrap();
    world.stack.finish(&unknown, None).await.unwrap();
    world.stack.finish(&callback, Some(&begun.cookie)).await.unwrap();
    world.stack.finish(&callback, None).await.unwrap();

    let lines = world.stack.lambda.logs().lines();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    let refused: Vec<Value> = lines.filter(|line| line["message"] == "callback refused").collect();
    let causes: Vec<_> = refused.iter().map(|line| (&line["outcome"], &line["cause"], &line["account_id"])).collect();
    let (other_browser, expired, account, nobody) =
        (json!("other-browser"), json!("expired"), json!(ACCOUNT), Value::Null);
    assert_eq!(
        causes,
        [
            (&other_browser, &json!("no cookie"), &account),
            (&other_browser, &json!("another browser's cookie"), &account),
            (&expired, &json!("unknown state"), &nobody),
            (&expired, &json!("used state"), &account),
        ]
    );
}

#[tokio::test]
async fn another_browser_cannot_end_an_authorization_by_an_error() {
    let (world, begun) = begun().await;
    let refused = query(&[("error", "access_denied"), ("state", &begun.state())]);

    let answer = world.callback(&refused, &[]).await;

    assert_eq!(outcome(&world, &answer), "other-browser");
    assert_eq!(finish(&world, &begun).await, "connected");
}

#[tokio::test]
async fn who_is_connected_is_who_started_whatever_the_callback_says() {
    let (world, begun) = begun().await;
    let query = format!("{}&account_id=acc_other&user_id=u&integration_id=i", begun.accept(&world, PORTAL));

    let answer = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &answer), "connected");
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().connected_by.as_deref(), Some(ADMIN));
    assert!(world.stack.records("acc_other").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_query_that_is_incomplete_or_ambiguous_fails_and_consumes_nothing() {
    let (world, begun) = begun().await;
    let good = begun.accept(&world, PORTAL);
    let state = begun.state();

    for bad in [
        String::new(),
        format!("state={state}"),
        format!("code=&state={state}"),
        format!("code&state={state}"),
        "code=abc&state=".to_owned(),
        format!("{good}&state={state}"),
        format!("{good}&state=other"),
        format!("{good}&code=other"),
        format!("{good}&code="),
        format!("{good}&error="),
        format!("{good}&error=access_denied"),
        format!("{good}&%73tate={state}"),
        format!("{good}&co%64e=other"),
        format!("error=&state={state}"),
        format!("error=access_denied&error=access_denied&state={state}"),
        "error=access_denied".to_owned(),
        format!("CODE=abc&state={state}"),
    ] {
        let answer = world.callback(&bad, &[&begun.cookie]).await;

        assert_eq!(outcome(&world, &answer), "failed", "{bad}");
        assert!(answer.cookies.is_empty(), "{bad}");
    }
    assert_eq!(world.stack.dynamo.count("UpdateItem"), 0);
    assert_eq!(traces(&world).await, NOTHING);
    assert_eq!(outcome(&world, &world.callback(&good, &[&begun.cookie]).await), "connected");
}

#[tokio::test]
async fn nothing_of_a_query_comes_back_whatever_it_is() {
    let world = World::start().await;
    let failed = whole(&world.callback("", &[]).await);
    let expired = whole(&world.callback("code=a&state=b", &[]).await);

    for attack in attacks() {
        let attack = attack.as_str();
        let answers = [
            (query(&[("code", attack), ("state", attack)]), &expired),
            (query(&[("code", "abc"), ("state", attack)]), &expired),
            (query(&[("error", attack), ("error_description", attack), ("state", attack)]), &expired),
            (query(&[("error", "access_denied"), ("error_description", attack), ("error_uri", attack)]), &failed),
            (
                query(&[(attack, attack), ("return_url", attack), ("hubspot", attack), ("redirect_uri", attack)]),
                &failed,
            ),
            (query(&[("code", attack), ("code", attack), ("state", "x")]), &failed),
        ];
        for (query, expected) in answers {
            let answer = world.callback(&query, &[attack, &format!("__Host-hubspot-00000000={attack}")]).await;

            assert_eq!(&whole(&answer), expected, "{query}");
        }
        let raw = world.callback(&format!("{attack}{attack}"), &[]).await;
        assert!([&failed, &expired].contains(&&whole(&raw)), "{attack}: {raw:?}");
    }
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn hubspots_words_with_a_good_state_do_not_come_back_either() {
    let world = World::start().await;

    for (name, attack) in [("error", "<script>alert(1)</script>"), ("code", "\"><svg onload=alert(1)>\r\nX: y")] {
        let begun = begin(&world, ACCOUNT, &json!({})).await;
        let query = query(&[(name, attack), ("error_description", attack), ("state", &begun.state())]);
        let answer = world.callback(&query, &[&begun.cookie]).await;

        assert_eq!(outcome(&world, &answer), "failed");
        assert_eq!(answer.headers.len(), 3, "{answer:?}");
        assert!(!whole(&answer).contains("alert"), "{answer:?}");
    }
    assert_eq!(traces(&world).await, Traces { exchanges: 1, ..NOTHING });
}

#[tokio::test]
async fn a_forged_host_does_not_move_the_browser() {
    let world = World::start().await;
    let headers = [("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example"), ("host", "evil.example")];

    let answer = world.stack.call("GET", "/oauth/hubspot/callback?code=a&state=b", &headers, "").await;

    assert_eq!(answer.status, 303);
    let expected = format!("{}/oauth/hubspot/result/expired", world.stack.public_url());
    assert_eq!(answer.header("location"), Some(expected.as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_callbacks_at_once_exchange_one_code() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    let cookies = [begun.cookie.as_str()];

    // On a busy machine a thousand starve the exchange itself.
    let number = setting("LOAD").map_or(200, |_| 1000);
    let answers = join_all((0..number).map(|_| world.callback(&query, &cookies))).await;

    let mut outcomes: Vec<String> = answers.iter().map(|answer| outcome(&world, answer)).collect();
    outcomes.dedup();
    assert_eq!(outcomes, ["connected"]);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn identical_callbacks_that_meet_in_several_processes_exchange_one_code() {
    let world = World::with(Options { concurrency: 4, ..Default::default() }).await;
    let begun = world.stack.authorize(ACCOUNT, ADMIN, &json!({})).await.unwrap();
    let callback = world.stack.consent(&begun).await.unwrap();
    let gate = world.stack.dynamo.hold("UpdateItem", At::Before);

    let all = join_all((0..24).map(|_| world.stack.finish(&callback, Some(&begun.cookie))));
    let (outcomes, ()) = tokio::join!(all, async {
        gate.reached(4).await;
        gate.open();
    });

    let connected = outcomes.iter().filter(|outcome| outcome.as_deref() == Ok("connected")).count();
    assert_eq!(connected, 24, "{outcomes:?}");
    assert_eq!(world.stack.lambda.spawned("oauth-callback"), 4);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn the_function_sets_no_cors_headers() {
    let (world, begun) = begun().await;
    let origin = [("origin", "https://app.localhost"), ("access-control-request-method", "POST")];

    let callback = world.callback_with(&begun.accept(&world, PORTAL), &[&begun.cookie], &origin).await;
    let mut answers = vec![callback];
    for (method, path) in [
        ("POST", "/v1/authorizations"),
        ("GET", "/v1/integrations"),
        ("GET", "/oauth/hubspot/result/failed"),
        ("GET", "/nothing"),
        ("DELETE", "/v1/integrations/unknown"),
    ] {
        answers.push(world.dashboard(ACCOUNT, "admin", method, path, &json!({"new_instance": true})).await);
    }

    // API Gateway sets them by the template's parameters, for the configured origins.
    for answer in answers {
        assert!(!answer.headers.keys().any(|name| name.starts_with("access-control-")), "{answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_understood_starts_nothing() {
    let world = World::start().await;
    let token = world.stack.jwt(ACCOUNT, ADMIN, "admin");

    for (body, status) in [
        ("[]".to_owned(), 400),
        ("{".to_owned(), 400),
        (r#"{"newInstance":true}"#.to_owned(), 400),
        (r#"{"new_instance":"yes"}"#.to_owned(), 400),
        (r#"{"new_instance":true,"new_instance":false}"#.to_owned(), 400),
        (r#"{"new_instance":true,"integration_id":"i"}"#.to_owned(), 400),
        (r#"{"integration_id":"../x"}"#.to_owned(), 400),
        (r#"{"account_id":"acc_other"}"#.to_owned(), 400),
        (format!("{{{}}}", " ".repeat(5000)), 413),
    ] {
        let answer = world.stack.call_as(&token, "POST", "/v1/authorizations", body.clone()).await;

        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
    }
    assert_eq!(world.stack.dynamo.count("PutItem"), 0);
}

#[tokio::test]
async fn an_account_sees_and_reconnects_its_own_integrations_only() {
    let (world, id) = connected_account().await;
    connect(&world, "acc_other", &json!({})).await;

    let wanted = json!({"integration_id": id});
    let answer = world.dashboard("acc_other", "admin", "POST", "/v1/authorizations", &wanted).await;
    let listed = world.dashboard("acc_other", "admin", "GET", "/v1/integrations", &json!(null)).await;

    assert_eq!((answer.status, answer.code()), (404, "integration_not_found"));
    assert!(!listed.text.contains(&id), "{}", listed.text);
}
