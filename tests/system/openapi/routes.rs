//! The routes of the document, of the template and of the code are the same.

use std::collections::BTreeMap;

use devstack::template::RouteAuthorizer;
use serde_json::{Value, json};

use super::document::Document;
use crate::world::{ACCOUNT, ADMIN, World};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"];

/// The event of an engine that is also an admin: whom no route refuses for who they are.
fn event(method: &str, path: &str) -> Value {
    let claims = json!({"account_id": ACCOUNT, "sub": ADMIN, "role": "admin"});
    let engine = "arn:aws:sts::123456789012:assumed-role/engine/session";
    json!({"rawPath": path, "requestContext": {"http": {"method": method},
        "authorizer": {"jwt": {"claims": claims}, "iam": {"userArn": engine}}}})
}

async fn code(world: &World, binary: &str, method: &str, path: &str) -> String {
    let response = world.unseen(binary, event(method, path)).await;
    let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    body["code"].as_str().unwrap_or("-").to_owned()
}

/// A path of a route, with its variable filled in.
fn path_of(key: &str) -> (&str, String) {
    let (method, path) = key.split_once(' ').unwrap();
    (method, path.replace("{outcome}", "connected").replace("{integration_id}", "some"))
}

#[tokio::test]
async fn the_document_has_the_templates_routes_each_with_its_authorization() {
    let world = World::start().await;

    let documented: BTreeMap<&str, Vec<&str>> = Document::get()
        .operations
        .iter()
        .map(|operation| (operation.key.as_str(), operation.security.iter().map(String::as_str).collect()))
        .collect();

    let routes = world.stack.deployment.routes.iter().map(|route| {
        let scheme = match &route.authorization {
            RouteAuthorizer::None => vec![],
            RouteAuthorizer::Iam => vec!["engine"],
            RouteAuthorizer::Jwt { .. } => vec!["member"],
        };
        (route.key.as_str(), scheme)
    });
    assert_eq!(documented, routes.collect());
    assert_eq!(documented.len(), 7);
}

#[tokio::test]
async fn each_documented_route_belongs_to_the_one_function_in_the_template() {
    let world = World::start().await;

    for route in &world.stack.deployment.routes {
        let (method, path) = path_of(&route.key);
        for binary in ["automation-execute", "oauth-callback"] {
            let found = code(&world, binary, method, &path).await != "not_found";

            assert_eq!(found, binary == route.binary, "{} in {binary}", route.key);
        }
    }
}

#[tokio::test]
async fn what_lies_beside_a_documented_route_is_not_found_in_any_function() {
    let world = World::start().await;
    let document = Document::get();

    for operation in &document.operations {
        let (own, path) = path_of(&operation.key);
        let paths = [
            format!("{path}/"),
            format!("/{path}"),
            path.to_uppercase(),
            path.replacen('/', "/v2/", 1),
            path.replace("/v1/", "/v2/"),
            path.replace("/hubspot/", "/"),
            format!("{path}/more"),
        ];
        let neighbours = METHODS.into_iter().map(|method| (method, path.clone()));
        let neighbours = neighbours.chain(paths.into_iter().map(|path| (own, path)));
        // To a function, which gets its path decoded, the rest of this path is an id; API Gateway knows better.
        let is_id = |(method, path): &(&str, String)| *method == "DELETE" && path.starts_with("/v1/integrations/");
        for (method, path) in neighbours.filter(|(method, path)| document.operation(method, path).is_none()) {
            for binary in ["automation-execute", "oauth-callback"] {
                let expected = match binary {
                    "oauth-callback" if is_id(&(method, path.clone())) => "invalid_request",
                    _ => "not_found",
                };
                assert_eq!(code(&world, binary, method, &path).await, expected, "{method} {path} in {binary}");
            }
        }
    }
    assert_eq!(code(&world, "oauth-callback", "DELETE", "/v1/integrations/").await, "not_found");
}
