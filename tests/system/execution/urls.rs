//! URLs over the wire: legitimate ones arrive byte for byte, hostile ones at HubSpot or nowhere.

use devstack::hubspot::RecordedRequest;

use super::{connected, to};
use crate::world::{Answer, World};
use attacks::tally::Tally;
use attacks::{endpoints, foreign};

/// Executes a request, and returns the answer with what HubSpot got.
async fn sent(world: &World, method: &str, endpoint: &str) -> (Answer, Vec<RecordedRequest>) {
    world.stack.hubspot.forget_requests();
    let answer = world.execute(&to(method, endpoint)).await;
    (answer, world.stack.hubspot.requests())
}

/// Checks that one request to this target, and nothing else, was on the wire.
fn is_only(answer: &Answer, requests: &[RecordedRequest], method: &str, target: &str) -> Result<(), String> {
    let line = format!("{method} {target} HTTP/1.1\r\n");
    match requests {
        [request] if answer.status == 200 && request.complete && request.raw.starts_with(line.as_bytes()) => Ok(()),
        _ => Err(format!("{}, HubSpot got {requests:?}", answer.text)),
    }
}

#[tokio::test]
async fn every_legitimate_endpoint_reaches_hubspot_byte_for_byte() {
    let world = connected().await;
    let mut tally = Tally::new("legitimate URLs over the wire");

    for (number, endpoint) in endpoints::unchanged().into_iter().enumerate() {
        let method = ["GET", "POST", "PUT", "PATCH", "DELETE"][number % 5];
        // Every client encodes an apostrophe in a query.
        let (path, query) = endpoint.split_once('?').map_or((&*endpoint, None), |(path, query)| (path, Some(query)));
        let target = query.map_or(path.to_owned(), |query| format!("{path}?{}", query.replace('\'', "%27")));
        let (answer, requests) = sent(&world, method, &format!("https://api.hubapi.com{endpoint}")).await;
        tally.found(&endpoint, is_only(&answer, &requests, method, &target));
    }
    for (written, target) in endpoints::REPAIRED {
        let (answer, requests) = sent(&world, "GET", written).await;
        tally.found(&written, is_only(&answer, &requests, "GET", target));
    }

    tally.finish(300);
}

#[tokio::test]
async fn a_hostile_endpoint_makes_one_well_formed_request_at_hubspot_or_none() {
    let world = connected().await;
    let mut tally = Tally::new("hostile endpoints over the wire");
    let mut texts = foreign::sample(foreign::all_texts(), 5);
    let own =
        ["\r\nX: y", " HTTP/1.1\r\nX: y\r\n\r\nGET /", "\u{10d}\u{10a}X: y", "..", "\\@evil.example", "?#;&%0d%0a"];
    texts.extend(own.map(str::to_owned));

    for (number, text) in texts.iter().enumerate() {
        let endpoint = match number % 4 {
            0 => format!("/crm/v3/{text}"),
            1 => format!("/crm/v3/owners?{text}"),
            2 => format!("https://api.hubapi.com{text}"),
            _ => text.clone(),
        };
        let (answer, requests) = sent(&world, "GET", &endpoint).await;
        let result = match requests.as_slice() {
            [] if matches!(answer.code(), "invalid_request" | "endpoint_not_allowed" | "request_too_large") => Ok(()),
            [request] => is_only(&answer, &requests, "GET", &request.target),
            _ => Err(format!("{}, HubSpot got {requests:?}", answer.text)),
        };
        tally.found(&endpoint, result);
    }

    tally.finish(6);
}
