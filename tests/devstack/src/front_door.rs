//! API Gateway (HTTP API): routes, authorizers and cross-origin rules from the template, events in payload format 2.0.
//!
//! A body without `code` is the gateway's own, as in AWS: a function's errors are problem documents.

mod event;
mod jwt;
mod sigv4;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::net::TcpListener;

use crate::lambda::{InvokeError, Lambda};
use crate::loopback::Server;
use crate::template::{ACCOUNT, Cors, Route, RouteAuthorizer};

pub use jwt::Issuer;
pub use sigv4::AccessKey;

/// API Gateway's limit for a request's body, in bytes.
const BODY_LIMIT: usize = 10 * 1024 * 1024;
/// API Gateway's limit for an integration.
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// The configuration of the front door.
#[derive(Debug)]
pub struct Door {
    /// The routes of the template.
    pub routes: Vec<Route>,
    /// The cross-origin rules of the template.
    pub cors: Option<Cors>,
    /// The issuer of the dashboard's tokens.
    pub issuer: Issuer,
    /// Whose signatures are known.
    pub keys: Vec<AccessKey>,
    /// The functions that answer.
    pub lambda: Arc<Lambda>,
}

/// A request that the gateway answers itself.
struct HttpError {
    status: StatusCode,
    message: &'static str,
}

const NOT_FOUND: HttpError = HttpError { status: StatusCode::NOT_FOUND, message: "Not Found" };
const UNAUTHORIZED: HttpError = HttpError { status: StatusCode::UNAUTHORIZED, message: "Unauthorized" };
const FORBIDDEN: HttpError = HttpError { status: StatusCode::FORBIDDEN, message: "Forbidden" };
const TOO_LARGE: HttpError = HttpError { status: StatusCode::PAYLOAD_TOO_LARGE, message: "Request Entity Too Large" };
const BROKEN: HttpError = HttpError { status: StatusCode::INTERNAL_SERVER_ERROR, message: "Internal Server Error" };
const UNAVAILABLE: HttpError = HttpError { status: StatusCode::SERVICE_UNAVAILABLE, message: "Service Unavailable" };

impl Door {
    /// Opens on a listener.
    #[must_use]
    pub fn open(self: &Arc<Self>, listener: TcpListener) -> Server {
        Server::on(listener, Router::new().fallback(answer).with_state(self.clone()))
    }

    /// The route of a request, with the values of its path's variables. A literal segment goes before a variable.
    fn route(&self, method: &Method, path: &str) -> Option<(&Route, BTreeMap<String, String>)> {
        let matches = self.routes.iter().filter_map(|route| {
            let (route_method, route_path) = route.key.split_once(' ')?;
            let parameters = matched(route_path, path).filter(|_| route_method == method.as_str())?;
            Some((route, parameters))
        });
        matches.min_by_key(|(_, parameters)| parameters.len())
    }

    /// The caller's part of the event; an error where the route's authorizer refuses.
    fn authorize(&self, route: &Route, parts: &Parts, body: &[u8]) -> Result<Option<Value>, HttpError> {
        let now = Clock::default().now();
        match &route.authorization {
            RouteAuthorizer::None => Ok(None),
            RouteAuthorizer::Jwt { issuer, audiences } => {
                let header = parts.headers.get("authorization").and_then(|header| header.to_str().ok());
                let token = header.ok_or(UNAUTHORIZED)?;
                let token = token.strip_prefix("Bearer ").or_else(|| token.strip_prefix("bearer ")).unwrap_or(token);
                let claims = self.issuer.verify(token, issuer, audiences, now).ok_or(UNAUTHORIZED)?;
                Ok(Some(json!({ "jwt": { "claims": claims, "scopes": null } })))
            }
            RouteAuthorizer::Iam => {
                let key = sigv4::verify(&self.keys, parts, body, now).ok_or(FORBIDDEN)?;
                let session = key.user_arn.rsplit('/').next().unwrap_or_default();
                let caller = format!("AROALOCAL:{session}");
                Ok(Some(json!({ "iam": {
                    "accessKey": key.id,
                    "accountId": ACCOUNT,
                    "callerId": caller,
                    "cognitoIdentity": null,
                    "principalOrgId": null,
                    "userArn": key.user_arn,
                    "userId": caller,
                }})))
            }
        }
    }

    /// The event that a request makes, and the function that gets it.
    fn event(&self, parts: &Parts, body: &[u8]) -> Result<(&str, Value), HttpError> {
        let (route, path_parameters) = self.route(&parts.method, parts.uri.path()).ok_or(NOT_FOUND)?;
        let authorizer = self.authorize(route, parts, body)?;
        Ok((&route.binary, event::event(&route.key, parts, body, &path_parameters, authorizer)))
    }

    /// The event that a function would get for this request, for a handler that runs in this process.
    ///
    /// # Errors
    /// The gateway would answer itself, with this status.
    pub fn event_of(&self, request: axum::http::Request<Bytes>) -> Result<Value, u16> {
        let (parts, body) = request.into_parts();
        self.event(&parts, &body).map(|(_, event)| event).map_err(|refusal| refusal.status.as_u16())
    }

    async fn handle(&self, parts: &Parts, body: Body) -> Result<Response<Body>, HttpError> {
        self.route(&parts.method, parts.uri.path()).ok_or(NOT_FOUND)?;
        let body: Bytes = axum::body::to_bytes(body, BODY_LIMIT).await.map_err(|_| TOO_LARGE)?;
        let (binary, event) = self.event(parts, &body)?;
        // Lambda would start another process where the pool makes an invocation wait: the wait does not count.
        let invocation = self.lambda.begin(binary, event).await.map_err(|_| BROKEN)?;
        match tokio::time::timeout(INTEGRATION_TIMEOUT, invocation.answer()).await {
            Err(_) => Err(UNAVAILABLE),
            Ok(Err(InvokeError::EventTooLarge(_))) => Err(TOO_LARGE),
            Ok(Err(_)) => Err(BROKEN),
            Ok(Ok(answer)) => event::http(&answer).ok_or(BROKEN),
        }
    }

    /// The headers that tell a browser about a request from another origin, if that origin may call.
    fn cross_origin(&self, request: &HeaderMap) -> Vec<(&'static str, String)> {
        let origin = request.get("origin").and_then(|origin| origin.to_str().ok());
        let (Some(cors), Some(origin)) = (&self.cors, origin) else { return Vec::new() };
        if !cors.origins.iter().any(|allowed| allowed == origin || allowed == "*") {
            return Vec::new();
        }
        let mut headers = vec![("access-control-allow-origin", origin.to_owned()), ("vary", "Origin".to_owned())];
        if cors.credentials {
            headers.push(("access-control-allow-credentials", "true".to_owned()));
        }
        if request.contains_key("access-control-request-method") {
            headers.push(("access-control-allow-methods", cors.methods.join(",")));
            headers.push(("access-control-allow-headers", cors.headers.join(",")));
        } else if !cors.exposed.is_empty() {
            headers.push(("access-control-expose-headers", cors.exposed.join(",")));
        }
        headers
    }
}

async fn answer(State(door): State<Arc<Door>>, request: axum::extract::Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // With cross-origin rules, the gateway answers every preflight itself.
    let preflight = door.cors.is_some() && parts.method == Method::OPTIONS;
    let handled = if preflight { Ok(empty()) } else { door.handle(&parts, body).await };
    let mut response = handled.unwrap_or_else(|refusal| {
        let body = json!({ "message": refusal.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = refusal.status;
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if refusal.status == StatusCode::UNAUTHORIZED {
            headers.insert("www-authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    });
    for (name, value) in door.cross_origin(&parts.headers) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn empty() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The values of a route's variables, if the path is of that route.
fn matched(route: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (route, path): (Vec<&str>, Vec<&str>) = (route.split('/').collect(), path.split('/').collect());
    if route.len() != path.len() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (expected, segment) in route.into_iter().zip(path) {
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                parameters.insert(name.to_owned(), event::decoded(segment));
            }
            None if expected == segment => {}
            _ => return None,
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests;
