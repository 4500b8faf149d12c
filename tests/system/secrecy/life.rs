//! A hard life of the real processes: what may go wrong goes wrong, and every input carries something planted.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::lambda::LogLine;
use devstack::secrets_manager::SecretValue;
use devstack::stack::{ApiResponse, Options, StartedAuthorization};
use devstack::wire::Answer as Wire;
use serde_json::{Value, json};
use shared::integration::{Pointer, TokenState};
use shared::store::{Store, WriteResult};
use url::{Url, form_urlencoded};

use crate::execution::tamper;
use crate::refresh::planted::plant_due;
use crate::world::{ACCOUNT, World, reader};

/// The app's, with every character that some encoding changes.
const CLIENT_SECRET: &str = "pl4nted/client+secret=\"<&\\ '?#";
/// The one that comes after it.
const NEXT_CLIENT_SECRET: &str = "pl4nted/next+client=secret\"<&\\ '?#";
/// An admin whose id is an e-mail address.
const ADMIN: &str = "jane.pl4nted@example.com";
/// Data that customers send and get back; it is in answers, never in logs.
const UNLOGGED: [&str; 4] =
    ["unl0gged.path@example.com", "unl0gged.body@example.com", "unl0gged-query", "unl0gged-hubspot-words"];
/// Credentials that customers pasted, and data in refused inputs.
const PLANTED: [&str; 15] = [
    "pat-na1-pl4nted-bearer",
    "pl4nted-private-app",
    "pl4nted-cookie",
    "pl4nted-api-key",
    "pl4nted-hapikey",
    "pl4nted-access-token",
    "pl4nted-userinfo",
    "pl4nted-form-secret",
    "pl4nted-code/+=\"<%",
    "pl4nted-state/+=\"<%",
    "pl4nted-error-words",
    "pl4nted-field \"<&\\",
    "pl4nted-token-answer",
    "pl4nted-corrupt-secret",
    "pl4nted-event",
];

/// The texts that were produced, and the forbidden ones.
pub(crate) struct Life {
    /// Everything that the processes printed.
    pub(crate) lines: Vec<LogLine>,
    /// Everything that the API answered, heads included.
    pub(super) answers: Vec<(String, String)>,
    /// Data that is in neither.
    pub(super) nowhere: BTreeSet<String>,
    /// Data that is in no log line.
    pub(super) unlogged: BTreeSet<String>,
}

struct Living {
    world: World,
    life: Life,
}

impl Life {
    /// Lives it, with everything in the functions' environment that makes other programs talkative.
    pub(super) async fn live() -> Self {
        let louder = [
            ("RUST_LOG", "trace"),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("RUST_BACKTRACE", "full"),
        ];
        let environment = louder.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).into();
        let world = World::with(Options { environment, ..Default::default() }).await;
        let planted = PLANTED.into_iter().chain([CLIENT_SECRET, NEXT_CLIENT_SECRET, ADMIN]).map(str::to_owned);
        let life = Self {
            lines: Vec::new(),
            answers: Vec::new(),
            nowhere: planted.collect(),
            unlogged: UNLOGGED.map(str::to_owned).into(),
        };
        let mut living = Living { world, life };
        living.put_client_secret().await;
        living.good_times().await;
        living.hubspot_fails().await;
        living.token_endpoint_fails().await;
        living.hostile_callbacks().await;
        living.refused_inputs().await;
        living.aws_fails().await;
        living.everybody_is_refused().await;
        living.corrupt_secrets().await;
        living.odd_events().await;
        living.end().await
    }
}

impl Living {
    async fn put_client_secret(&self) {
        self.world.stack.hubspot.rotate_client_secret(CLIENT_SECRET);
        let credentials = json!({"client_id": self.world.stack.hubspot.client_id(), "client_secret": CLIENT_SECRET});
        self.world.stack.put_app_secret(&credentials).await.unwrap();
    }

    fn keep(&mut self, what: &str, answer: &ApiResponse) {
        let head: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value:?}\n")).collect();
        self.life.answers.push((what.to_owned(), format!("{} {head}{}", answer.status, answer.text())));
    }

    /// Calls a route of the dashboard and keeps the answer.
    async fn dashboard(&mut self, role: &str, account: &str, method: &str, path: &str, body: &str) -> ApiResponse {
        let token = self.world.stack.jwt(account, ADMIN, role);
        self.life.nowhere.insert(token.clone());
        let answer = self.world.stack.call_as(&token, method, path, body.to_owned()).await;
        self.keep(&format!("{method} {path} {body}"), &answer);
        answer
    }

    async fn execute(&mut self, body: &Value) -> ApiResponse {
        self.execute_text(body.to_string()).await
    }

    async fn execute_text(&mut self, body: String) -> ApiResponse {
        let answer = self.world.stack.post_automation(body.clone()).await;
        self.keep(&format!("execute {body}"), &answer);
        answer
    }

    /// Begins an authorization; its state and its cookie are for this answer only.
    async fn begin(&mut self, account: &str, body: &Value) -> StartedAuthorization {
        let token = self.world.stack.jwt(account, ADMIN, "admin");
        let answer = self.world.stack.call_as(&token, "POST", "/v1/authorizations", body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let authorize_url = answer.json()["authorize_url"].as_str().unwrap().to_owned();
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let state = parameter(&authorize_url, "state");
        let browser = cookie.split_once('=').unwrap().1.to_owned();
        let shown = answer.text().replace(&state, "STATE");
        self.life.answers.push(("the start".to_owned(), shown));
        self.life.nowhere.extend([state, browser]);
        StartedAuthorization { authorize_url, cookie }
    }

    async fn callback(&mut self, query: &str, cookie: Option<&str>) -> ApiResponse {
        let headers: Vec<(&str, &str)> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        let answer = self.world.stack.call("GET", &format!("/oauth/hubspot/callback?{query}"), &headers, "").await;
        self.keep(&format!("callback {query}"), &answer);
        if let Some((_, path)) = answer.header("location").and_then(|to| to.split_once(self.world.stack.public_url())) {
            let path = path.to_owned();
            let page = self.world.stack.call("GET", &path, &[], "").await;
            self.keep(&path, &page);
        }
        answer
    }

    /// All of the browser's steps; the outcome.
    async fn authorize(&mut self, account: &str, body: &Value) -> String {
        let begun = self.begin(account, body).await;
        let callback = self.world.stack.consent(&begun).await.unwrap();
        self.life.nowhere.insert(parameter(&callback, "code"));
        let query = callback.split_once('?').unwrap().1.to_owned();
        let answer = self.callback(&query, Some(&begun.cookie)).await;
        self.collect();
        answer.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Every secret that is in Secrets Manager or went over the wire to HubSpot so far.
    fn collect(&mut self) {
        for secret in self.world.stack.secrets_manager.secrets() {
            for version in &secret.versions {
                let SecretValue::Text(text) = &version.value else { continue };
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                for name in ["access_token", "refresh_token", "client_secret"] {
                    self.life.nowhere.extend(value[name].as_str().map(str::to_owned));
                }
            }
        }
        for request in self.world.stack.hubspot.requests() {
            let secret = ["code", "code_verifier", "refresh_token", "token", "client_secret"];
            let form = if request.is_oauth() { request.form() } else { Vec::new() };
            let form = form.into_iter().filter(|(name, value)| secret.contains(&name.as_str()) && value.len() > 7);
            self.life.nowhere.extend(form.map(|(_, value)| value));
            let bearer = request.header("authorization");
            self.life.nowhere.extend(bearer.and_then(|bearer| Some(bearer.strip_prefix("Bearer ")?.to_owned())));
        }
    }

    fn store(&self) -> Store {
        Store::new(self.world.stack.aws_config(), reader(&self.world.stack, "oauth-callback").state())
    }

    /// Makes the record point at a version and say when it expires, with no trace of earlier failures.
    async fn point(&self, account: &str, secret_version: Option<&str>, token_expires_at: i64) {
        let record = self.world.record(account, 1).await.unwrap();
        let pointer = record.pointer.clone().unwrap();
        let secret_version = secret_version.unwrap_or(&pointer.secret_version).to_owned();
        let settled = TokenState {
            pointer: Pointer { secret_version, ..pointer },
            token_expires_at,
            scopes: record.scopes.clone(),
            hub_id: record.hub_id,
            named_hub: None,
            refresh_at: 0,
            unverified_since: None,
        };
        assert_eq!(self.store().reconnect(&record, &settled, "user").await.unwrap(), WriteResult::Applied);
    }

    async fn good_times(&mut self) {
        assert_eq!(self.authorize(ACCOUNT, &json!({})).await, "connected");
        self.dashboard("member", ACCOUNT, "GET", "/v1/integrations", "").await;
        for request in old_requests() {
            let answer =
                self.execute(&json!({"account_id": ACCOUNT, "automation_id": "wf_secrecy", "request": request})).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let check = json!({ "request": request }).to_string();
            let answer = self.dashboard("member", ACCOUNT, "POST", "/v1/automation-checks", &check).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        for _ in 0..2 {
            let request = json!({"method": "POST", "endpoint": "/crm/v3/objects/contacts", "body": {"properties": {}}});
            let once = json!({"account_id": ACCOUNT, "idempotency_key": "a key", "request": request});
            assert_eq!(self.execute(&once).await.status, 200);
        }
        self.point(ACCOUNT, None, 0).await;
        let report = self.world.stack.run_schedule_once(None).await.unwrap();
        assert_eq!(report["refreshed"], 1, "{report}");
        self.point(ACCOUNT, None, 0).await;
        let [request, ..] = old_requests();
        assert_eq!(self.execute(&json!({"account_id": ACCOUNT, "request": request})).await.status, 200);
        let listed = self.dashboard("admin", ACCOUNT, "GET", "/v1/integrations", "").await.json();
        let id = listed["integrations"][0]["integration_id"].as_str().unwrap().to_owned();
        assert_eq!(self.authorize(ACCOUNT, &json!({"integration_id": id})).await, "reconnected");
        assert_eq!(self.authorize(ACCOUNT, &json!({"new_instance": true})).await, "connected");
        self.dashboard("admin", ACCOUNT, "POST", "/v1/authorizations", "{}").await;
        let old = self.execute(&json!({"account_id": ACCOUNT, "integration_id": id, "request": request})).await;
        assert_eq!(old.code().as_deref(), Some("integration_superseded"));
        let path = format!("/v1/integrations/{id}");
        assert_eq!(self.dashboard("admin", ACCOUNT, "DELETE", &path, "").await.status, 204);
    }

    async fn hubspot_fails(&mut self) {
        let words =
            json!({"status": "error", "message": UNLOGGED[3], "category": UNLOGGED[3], "errors": [UNLOGGED[3]]});
        for fault in [
            Fault::Echo,
            Fault::Answer(Wire::json(401, &words)),
            Fault::Answer(Wire::json(
                403,
                &json!({"category": "MISSING_SCOPES", "message": UNLOGGED[3],
                "errors": [{"context": {"requiredGranularScopes": ["tickets"]}}]}),
            )),
            Fault::Answer(Wire::json(400, &words)),
            Fault::Answer(Wire::html(404, &format!("<h1>{}</h1>", UNLOGGED[3]))),
            Fault::Answer(Wire::html(403, UNLOGGED[3]).header("cf-ray", "8a1b2c3d4e5f-FRA")),
            Fault::Answer(Wire::html(500, &format!("<h1>{}</h1>", UNLOGGED[3]))),
            Fault::Answer(Wire::redirect(302, &format!("https://{}.example/", UNLOGGED[3]))),
            Fault::Answer(Wire::new(200).header("x-hubspot-x", UNLOGGED[3]).header("x-other", UNLOGGED[3])),
            Fault::Close,
            Fault::Reset,
            Fault::Cut(60),
            Fault::Raw(format!("HTTP/1.1 {}\r\n\r\n", UNLOGGED[3]).into_bytes()),
            // Last, since the portal is left alone for a second then.
            Fault::Answer(Wire::json(429, &words).header("retry-after", "1")),
        ] {
            self.world.stack.hubspot.script_always(Match::api(), fault);
            let [get, post, _] = old_requests();
            for request in [get, post] {
                self.execute(&json!({"account_id": ACCOUNT, "automation_id": "wf_secrecy", "request": request})).await;
            }
            self.world.stack.hubspot.clear_scripts();
        }
        self.collect();
    }

    async fn token_endpoint_fails(&mut self) {
        let account = "acc_token";
        assert_eq!(self.authorize(account, &json!({})).await, "connected");
        let current = self.world.stack.newest_text(account, "secret_id").await.unwrap();
        let tokens = self.world.stack.secrets_manager.secret(&current).unwrap().current().unwrap().value.json();
        let words = json!({"error": PLANTED[12], "error_description": CLIENT_SECRET, "status": tokens["refresh_token"],
            "message": format!("client_secret={CLIENT_SECRET}&refresh_token={}", tokens["refresh_token"])});
        let mut grant = words.clone();
        grant["error"] = json!("invalid_grant");
        let mut believable = tokens.clone();
        believable["expires_in"] = json!(PLANTED[12]);
        let faults = [
            Fault::Echo,
            Fault::Answer(Wire::json(400, &grant)),
            Fault::Answer(Wire::json(400, &words)),
            Fault::Close,
            Fault::Answer(Wire::json(401, &words)),
            Fault::Answer(Wire::json(429, &words)),
            Fault::Answer(Wire::json(500, &words)),
            Fault::Answer(Wire::html(502, &format!("<h1>{words}</h1>"))),
            Fault::Answer(Wire::html(200, &format!("<h1>{words}</h1>"))),
            Fault::Answer(Wire::json(200, &believable)),
            Fault::Answer(Wire::redirect(307, &format!("{}/?{}", self.world.stack.hubspot.url(), PLANTED[12]))),
            Fault::Cut(40),
            Fault::Raw(format!("{words}\r\n\r\n").into_bytes()),
        ];
        for (at, fault) in faults.into_iter().enumerate() {
            self.world.stack.hubspot.script_always(Match::token(), fault);
            self.point(account, None, 0).await;
            let [request, ..] = old_requests();
            let answer = self.execute(&json!({"account_id": account, "request": request})).await;
            assert_ne!(answer.status, 200, "{}", answer.text());
            if at < 4 {
                self.point(account, None, 0).await;
                self.world.stack.run_schedule_once(None).await.unwrap();
            }
            assert_ne!(self.authorize("acc_refused", &json!({})).await, "connected");
            self.world.stack.hubspot.clear_scripts();
        }
        self.rotate_client_secret(account).await;
        self.world.stack.hubspot.rotate_client_secret("another-secret");
        self.point(account, None, 0).await;
        self.world.stack.run_schedule_once(None).await.unwrap();
        assert_eq!(self.authorize("acc_refused", &json!({})).await, "misconfigured");
        self.world.stack.hubspot.rotate_client_secret(CLIENT_SECRET);
    }

    /// HubSpot does not know the new client secret yet.
    async fn rotate_client_secret(&mut self, account: &str) {
        let client_id = self.world.stack.hubspot.client_id();
        let both = json!({"client_id": client_id, "client_secret": NEXT_CLIENT_SECRET,
            "previous_client_secret": CLIENT_SECRET});
        self.world.stack.put_app_secret(&both).await.unwrap();
        // A function that knew the old one alone finds out.
        self.world.stack.hubspot.rotate_client_secret("neither");
        self.point(account, None, 0).await;
        self.world.stack.run_schedule_once(None).await.unwrap();
        self.world.stack.hubspot.rotate_client_secret(CLIENT_SECRET);
        self.point(account, None, 0).await;
        self.world.stack.run_schedule_once(None).await.unwrap();
        self.put_client_secret().await;
    }

    async fn hostile_callbacks(&mut self) {
        let [code, state, words] = [PLANTED[8], PLANTED[9], PLANTED[10]];
        let query =
            |pairs: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let begun = self.begin("acc_hostile", &json!({})).await;
        let good = parameter(&begun.authorize_url, "state");
        let cookie = format!("__Host-hubspot-00000000={}", PLANTED[2]);
        for query in [
            query(&[("code", code), ("state", state)]),
            query(&[("code", code), ("code", code), ("state", state)]),
            query(&[("code", code), ("state", &good)]),
            query(&[("error", words), ("error_description", words), ("state", state)]),
            query(&[(code, words)]),
        ] {
            self.callback(&query, Some(&cookie)).await;
        }
        let wrong = query(&[("code", code), ("state", &good), ("extra", words)]);
        self.callback(&wrong, Some(&begun.cookie)).await;
        for error in ["access_denied", words] {
            let begun = self.begin("acc_hostile", &json!({})).await;
            let state = parameter(&begun.authorize_url, "state");
            let query = query(&[("error", error), ("error_description", words), ("state", &state)]);
            self.callback(&query, Some(&begun.cookie)).await;
        }
    }

    async fn refused_inputs(&mut self) {
        let secret = PLANTED[11];
        let text = Value::from(secret).to_string();
        for body in [
            text.clone(),
            format!("{{{text}"),
            format!("[{text}]"),
            json!({ "new_instance": secret }).to_string(),
            json!({ "integration_id": secret }).to_string(),
            json!({ "integration_id": [secret] }).to_string(),
            format!(r#"{{"integration_id":{text},"integration_id":{text}}}"#),
            json!({ "unknown": secret }).to_string(),
        ] {
            self.dashboard("admin", ACCOUNT, "POST", "/v1/authorizations", &body).await;
        }
        let id: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        self.dashboard("admin", ACCOUNT, "DELETE", &format!("/v1/integrations/{id}"), "").await;
        self.dashboard("admin", ACCOUNT, "GET", &format!("/oauth/hubspot/result/{id}"), "").await;
        for name in
            ["account_id", "integration_id", "automation_id", "deadline_ms", "idempotency_key", "request", "new"]
        {
            for value in [json!(secret), json!([secret]), json!({ "x": secret }), json!(format!("{secret}\u{1}"))] {
                let mut body =
                    json!({"account_id": ACCOUNT, "request": {"method": "GET", "endpoint": "/crm/v3/owners"}});
                body[name] = value;
                // An automation's id is for the log.
                if name != "automation_id" || !body[name].is_string() || body[name] != json!(secret) {
                    self.execute(&body).await;
                }
            }
        }
        for name in ["method", "endpoint", "query", "headers", "body_text", "body_base64", "new"] {
            for value in [json!(secret), json!([secret]), json!([[secret]]), json!({ "accept": [secret] }), json!(7)] {
                if name == "query" && value.is_object() {
                    // A good query, which a check shows.
                    continue;
                }
                let mut request = json!({"method": "POST", "endpoint": "/crm/v3/objects/contacts", "body": {}});
                request[name] = value;
                self.execute(&json!({"account_id": ACCOUNT, "request": request})).await;
                let check = json!({ "request": request }).to_string();
                self.dashboard("member", ACCOUNT, "POST", "/v1/automation-checks", &check).await;
            }
        }
        for endpoint in [
            format!("https://{}.example/crm", PLANTED[3]),
            format!("https://x:{}@evil.example/crm", PLANTED[6]),
            format!("/oauth/v1/access-tokens/{}", PLANTED[5]),
            format!("/crm/../{}", PLANTED[5]),
            format!("/crm/{}%zz", PLANTED[5]),
            format!("/crm\\{}", PLANTED[5]),
            format!("ftp://{}", PLANTED[5]),
        ] {
            let request = json!({"method": "GET", "endpoint": endpoint});
            let answer = self.execute(&json!({"account_id": ACCOUNT, "request": request})).await;
            assert!((400..500).contains(&answer.status), "{endpoint}: {}", answer.text());
        }
        self.execute_text(format!("{{\"account_id\": {text}")).await;
        let stranger = self.world.stack.stranger.clone();
        let answer = self.world.stack.post_automation_as(&stranger, text.clone()).await;
        self.keep("a stranger", &answer);
        let token = self.world.stack.jwt(ACCOUNT, ADMIN, secret);
        let answer = self.world.stack.call_as(&token, "POST", "/v1/authorizations", text).await;
        self.keep("a strange role", &answer);
    }

    async fn aws_fails(&mut self) {
        let [request, ..] = old_requests();
        let order = json!({"account_id": ACCOUNT, "request": request});
        self.world.stack.lambda.kill_all("automation-execute").await;
        self.world.stack.dynamo.fail_next("Query", AwsFault::Refused, 3);
        assert_eq!(self.execute(&order).await.status, 503);
        self.world.stack.dynamo.fail_next("Query", AwsFault::Throttled, 3);
        assert_eq!(self.execute(&order).await.status, 503);
        for kind in [AwsFault::AccessDenied, AwsFault::KeyDenied] {
            self.world.stack.secrets_manager.fail_next("GetSecretValue", kind, 3);
            assert_ne!(self.execute(&order).await.status, 200);
            self.world.stack.secrets_manager.heal();
        }
        self.point("acc_token", None, 0).await;
        self.world.stack.secrets_manager.fail_next("PutSecretValue", AwsFault::AccessDenied, 1);
        self.world.stack.run_schedule_once(None).await.unwrap();
        self.world.stack.secrets_manager.heal();
        for operation in ["CreateSecret", "PutItem"] {
            let begun = self.begin("acc_aws", &json!({})).await;
            let callback = self.world.stack.consent(&begun).await.unwrap();
            self.life.nowhere.insert(parameter(&callback, "code"));
            self.world.stack.secrets_manager.fail_next(operation, AwsFault::AccessDenied, 1);
            self.world.stack.dynamo.fail_next(operation, AwsFault::Refused, 3);
            self.callback(callback.split_once('?').unwrap().1, Some(&begun.cookie)).await;
            self.world.stack.secrets_manager.heal();
            self.world.stack.dynamo.heal();
        }
        self.collect();
    }

    /// One more than the verdicts that a run believes.
    async fn everybody_is_refused(&mut self) {
        for number in 0..11 {
            plant_due(&self.world, &format!("acc_refused_{number}"), 1, -60, -30).await;
        }
        let words = json!({"error": "invalid_grant", "message": PLANTED[12]});
        self.world.stack.hubspot.script_always(Match::token(), Fault::Answer(Wire::json(400, &words)));
        self.world.stack.run_schedule_once(None).await.unwrap();
        self.world.stack.hubspot.clear_scripts();
        self.collect();
    }

    async fn corrupt_secrets(&mut self) {
        let (account, version) = ("acc_corrupt", uuid::Uuid::now_v7().to_string());
        assert_eq!(self.authorize(account, &json!({})).await, "connected");
        let secret_id = self.world.stack.newest_text(account, "secret_id").await.unwrap();
        for text in [format!("no JSON {}", PLANTED[13]), json!({ "access_token": PLANTED[13] }).to_string()] {
            let version = if text.starts_with('n') { version.clone() } else { uuid::Uuid::now_v7().to_string() };
            let put = self.world.stack.secrets().put_secret_value().secret_id(&secret_id);
            put.client_request_token(&version).secret_string(text).send().await.unwrap();
            for expires_at in [i64::from(u32::MAX), 0] {
                self.point(account, Some(&version), expires_at).await;
                let [request, ..] = old_requests();
                let answer = self.execute(&json!({"account_id": account, "request": request})).await;
                assert_eq!(answer.code().as_deref(), Some("internal"), "{}", answer.text());
                self.world.stack.run_schedule_once(None).await.unwrap();
            }
        }
        self.point(account, None, 0).await;
        tamper(&self.world, account, 1, "status", Some(AttributeValue::S("bogus".to_owned()))).await;
        self.world.stack.run_schedule_once(None).await.unwrap();
        for function in ["oauth-callback", "token-refresh", "automation-execute"] {
            self.world.stack.lambda.kill_all(function).await;
        }
        let nonsense = json!({"clientSecret": PLANTED[13], "client_secret": CLIENT_SECRET});
        self.world.stack.put_app_secret(&nonsense).await.unwrap();
        self.dashboard("admin", "acc_new", "POST", "/v1/authorizations", "{}").await;
        self.point("acc_token", None, 0).await;
        let [request, ..] = old_requests();
        self.execute(&json!({"account_id": "acc_token", "request": request})).await;
        self.world.stack.run_schedule_once(None).await.unwrap();
        self.put_client_secret().await;
    }

    async fn odd_events(&mut self) {
        let secret = PLANTED[14];
        for function in ["oauth-callback", "automation-execute", "token-refresh"] {
            for event in [
                json!(secret),
                json!([secret]),
                json!({ "rawPath": [secret] }),
                json!({ "shards": secret }),
                json!({ "shards": [secret] }),
                json!({ secret: secret }),
                json!({"rawPath": "/v1/authorizations", "body": secret, "isBase64Encoded": true,
                    "requestContext": {"http": {"method": "POST"}, "authorizer": {"jwt": {"claims": {
                        "account_id": secret, "sub": secret, "role": secret}}}}}),
                json!({"rawPath": "/v1/automation-requests", "body": secret, "isBase64Encoded": true,
                    "requestContext": {"http": {"method": "POST"}, "authorizer": {"iam": {"userArn": secret}}}}),
            ] {
                let answer = self.world.stack.lambda.invoke(function, event.clone()).await;
                let text = answer.map_or_else(|error| error.to_string(), |answer| answer.to_string());
                self.life.answers.push((format!("{function} {event}"), text));
            }
        }
    }

    async fn end(mut self) -> Life {
        self.collect();
        self.life.lines = self.world.stack.lambda.stop().await;
        self.life
    }
}

fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).unwrap();
    url.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned()
}

/// Requests of automations that still carry what was pasted once.
fn old_requests() -> [Value; 3] {
    let [bearer, private_app, cookie, api_key, hapikey, access_token, userinfo, form, ..] = PLANTED;
    let [path, body, query, _] = UNLOGGED.map(|text| text.replace('@', "%40"));
    let headers = json!({"Authorization": format!("Bearer {bearer}"), "private-app": private_app, "Cookie": cookie,
        "X-Api-Key": api_key, "Accept": "application/json"});
    let endpoint = format!(
        "https://x:{userinfo}@api.hubapi.com/crm/v3/objects/contacts/{path}?idProperty=email&hapikey={hapikey}"
    );
    [
        json!({"method": "GET", "endpoint": endpoint, "headers": headers,
            "query": {"access_token": access_token, "properties": query}}),
        json!({"method": "POST", "endpoint": format!("/crm/v3/objects/contacts?hapikey={hapikey}"), "headers": headers,
            "body": {"properties": {"email": body.replace("%40", "@")}}}),
        json!({"method": "POST", "endpoint": "/crm/v3/objects/notes", "headers":
                {"content-type": "application/x-www-form-urlencoded", "authorization": format!("Basic {bearer}")},
            "body_text": format!("client_secret={form}&refresh_token={form}&email={body}")}),
    ]
}
