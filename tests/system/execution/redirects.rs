//! Redirects: they are HubSpot's answer, and nobody follows them.

use std::io::ErrorKind;
use std::net::TcpListener;

use devstack::hubspot::{Fault, Match};
use devstack::wire::Answer;
use serde_json::json;

use super::{connected, to, with};
use attacks::tally::Tally;

#[tokio::test]
async fn no_redirect_is_followed_whatever_its_status_target_and_method() {
    let world = connected().await;
    // Nobody accepts here: a connection that was made would wait to be accepted at the end.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let other = elsewhere.local_addr().unwrap();
    let targets = [
        format!("{}/crm/v3/objects/contacts", world.stack.hubspot.url()),
        format!("http://{other}/crm/v3/objects/contacts"),
        "../owners?after=1".to_owned(),
        format!("//{other}/crm/v3/owners"),
        format!("https://{other}/crm/v3/owners"),
    ];
    let mut tally = Tally::new("redirects");

    for status in [301, 302, 303, 307, 308] {
        for target in &targets {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                world.stack.hubspot.forget_requests();
                world.stack.hubspot.script(Match::api(), [Fault::Answer(Answer::redirect(status, target))]);
                let request = with(to(method, "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));

                let answer = world.execute(&request).await;

                let hubspot = &answer.body["hubspot"];
                let seen =
                    (answer.status, &answer.body["outcome"], &answer.body["retryable"], &answer.body["attempts"]);
                let told = seen == (200, &json!("answered"), &json!(false), &json!(1))
                    && hubspot["status"] == status
                    && hubspot["headers"]["location"] == **target;
                let requests = world.stack.hubspot.requests().len();
                // At once: one that is followed to where nobody answers would take its whole deadline.
                assert!(told && requests == 1, "{method} {status} {target}, {requests} requests: {}", answer.text);
                tally.found(&target, Ok(()));
            }
        }
    }

    tally.finish(125);
    assert_eq!(elsewhere.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody went elsewhere");
}
