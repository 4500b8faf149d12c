//! The development dashboard of `devstack run`: its page, and the development API that the page and `curl` use beside
//! the product's own.

pub(crate) mod levers;
mod timeline;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::stack::Stack;
use levers::Levers;

/// The accounts that the page offers; its address may name another.
pub(crate) const ACCOUNTS: [&str; 2] = ["acc_demo", "acc_second"];
/// The roles, with a person who has each.
const ROLES: [(&str, &str); 2] = [("admin", "alice"), ("member", "bob")];

/// The page's files.
const FILES: [(&str, &str, &str); 10] = [
    ("", "text/html; charset=utf-8", include_str!("../dashboard/index.html")),
    ("dashboard.css", "text/css", include_str!("../dashboard/dashboard.css")),
    ("dashboard.js", "text/javascript", include_str!("../dashboard/dashboard.js")),
    ("api.js", "text/javascript", include_str!("../dashboard/api.js")),
    ("page.js", "text/javascript", include_str!("../dashboard/page.js")),
    ("connection.js", "text/javascript", include_str!("../dashboard/connection.js")),
    ("automation.js", "text/javascript", include_str!("../dashboard/automation.js")),
    ("examples.js", "text/javascript", include_str!("../dashboard/examples.js")),
    ("levers.js", "text/javascript", include_str!("../dashboard/levers.js")),
    ("timeline.js", "text/javascript", include_str!("../dashboard/timeline.js")),
];

/// State that the routes share.
#[derive(Debug)]
pub(crate) struct Dashboard {
    stack: Arc<Stack>,
    levers: Levers,
}

impl Dashboard {
    /// The dashboard of a stack.
    pub(crate) fn of(stack: Arc<Stack>) -> Arc<Self> {
        Arc::new(Self { levers: Levers::of(stack.clone()), stack })
    }

    /// Its routes.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/", get(|State(dashboard): State<Arc<Self>>| async move { dashboard.file("") }))
            .route(
                "/{file}",
                get(
                    |State(dashboard): State<Arc<Self>>, Path(name): Path<String>| async move { dashboard.file(&name) },
                ),
            )
            .route("/dev/session", get(session))
            .route("/dev/engine", post(engine))
            .route("/dev/timeline", get(news))
            .route(
                "/dev/levers",
                get(|State(dashboard): State<Arc<Self>>| async move { answer(200, &dashboard.levers.list()) }),
            )
            .route("/dev/levers/{name}", post(pull))
            .with_state(self.clone())
    }

    fn file(&self, name: &str) -> Response {
        let Some((_, kind, text)) = FILES.iter().find(|(own, _, _)| *own == name) else {
            return answer(404, &json!({ "detail": "There is no such page." }));
        };
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' {}; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
            self.stack.public_url()
        );
        (
            [
                (CONTENT_TYPE, (*kind).to_owned()),
                (CACHE_CONTROL, "no-store".to_owned()),
                (CONTENT_SECURITY_POLICY, policy),
            ],
            *text,
        )
            .into_response()
    }
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body.to_string()).into_response()
}

/// A token of the dashboard that is good for a day.
pub(crate) fn token(stack: &Stack, account: &str, role: &str) -> String {
    let user = ROLES.iter().find(|(own, _)| *own == role).map_or("somebody", |(_, user)| user);
    stack.jwt_with(account, user, role, &json!({ "exp": Clock::default().now() + 86_400 }))
}

/// The user of the page: an account and a role, by default the first of each, and a token for them.
async fn session(State(dashboard): State<Arc<Dashboard>>, RawQuery(query): RawQuery) -> Response {
    let query = parameters(query.as_deref());
    let chosen = |name: &str, default: &str| {
        query.get(name).filter(|value| !value.is_empty()).cloned().unwrap_or_else(|| default.to_owned())
    };
    let (account, role) = (chosen("account", ACCOUNTS[0]), chosen("role", ROLES[0].0));
    let mut accounts: Vec<&str> = ACCOUNTS.into();
    if !accounts.contains(&account.as_str()) {
        accounts.push(&account);
    }
    answer(
        200,
        &json!({
            "api": dashboard.stack.public_url(),
            "account": account,
            "role": role,
            "accounts": accounts,
            "roles": ROLES.map(|(role, _)| role),
            "token": token(&dashboard.stack, &account, &role),
        }),
    )
}

/// Hands an automation request over as the workflow engine does, and answers with what came of it and what HubSpot
/// received meanwhile, unless the query is `brief`.
async fn engine(State(dashboard): State<Arc<Dashboard>>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let stack = &dashboard.stack;
    let before = stack.hubspot.requests().len();
    let executed = stack.post_automation(body).await;
    let mut answered = json!({ "status": executed.status, "body": executed.json() });
    if query.as_deref() != Some("brief") {
        let requests = stack.hubspot.requests().into_iter().skip(before).filter(|request| !request.is_oauth());
        let requests = requests.map(|request| String::from_utf8_lossy(&request.raw).into_owned());
        answered["requests"] = requests.collect();
    }
    answer(200, &answered)
}

async fn news(State(dashboard): State<Arc<Dashboard>>, RawQuery(query): RawQuery) -> Response {
    let query = parameters(query.as_deref());
    let after = query.get("after").map(String::as_str).unwrap_or_default();
    match timeline::news(&dashboard.stack, &dashboard.levers, after).await {
        Ok(news) => answer(200, &news),
        Err(detail) => answer(500, &json!({ "detail": detail })),
    }
}

async fn pull(State(dashboard): State<Arc<Dashboard>>, Path(name): Path<String>, body: Bytes) -> Response {
    let body = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
    let Ok(parameters) = body else {
        return answer(400, &json!({ "detail": "The lever's parameters are a JSON object." }));
    };
    let account = parameters["account"].as_str().unwrap_or(ACCOUNTS[0]);
    match dashboard.levers.pull(&name, account, &parameters).await {
        Ok(pulled) => answer(200, &pulled),
        Err(detail) => answer(400, &json!({ "detail": detail })),
    }
}

fn parameters(query: Option<&str>) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
}
