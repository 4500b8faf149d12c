//! The connections that a function opens before it asks for work, seen from its upstreams and from its Runtime API.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use devstack::iam::access_key;
use devstack::loopback::{self, Server};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::world::{ACCOUNT, World, claims, dashboard, request};

const FUNCTIONS: [&str; 3] = ["automation-execute", "oauth-callback", "token-refresh"];
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of a function, and its Runtime API.
struct Function {
    polls: mpsc::Receiver<Instant>,
    events: mpsc::Sender<Value>,
    answers: mpsc::Receiver<Value>,
    _child: Child,
    _api: Server,
}

struct RuntimeApi {
    polls: mpsc::Sender<Instant>,
    events: Mutex<mpsc::Receiver<Value>>,
    answers: mpsc::Sender<Value>,
}

impl Function {
    /// Starts a function with the environment of the template's, but for `changes`.
    async fn start(world: &World, binary: &str, changes: &[(&str, String)]) -> Self {
        let (poll, polls) = mpsc::channel(8);
        let (events, event) = mpsc::channel(1);
        let (answer, answers) = mpsc::channel(1);
        let api = RuntimeApi { polls: poll, events: Mutex::new(event), answers: answer };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .with_state(Arc::new(api));
        let api = Server::start(router).await.unwrap();
        let mut environment: BTreeMap<String, String> = world.stack.environment(binary);
        for (name, value) in [
            ("AWS_LAMBDA_RUNTIME_API", api.address().to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", binary.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", access_key(binary)),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_SESSION_TOKEN", "local".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", world.stack.dynamo.url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", world.stack.secrets_manager.url()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        environment.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let own = std::env::current_exe().unwrap();
        let program = own.parent().unwrap().parent().unwrap().join(binary);
        let mut command = Command::new(program);
        command.env_clear().envs(environment).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        Self { polls, events, answers, _child: command.spawn().unwrap(), _api: api }
    }

    /// Waits until it asks for work.
    async fn ready(&mut self) -> Instant {
        timeout(PATIENCE, self.polls.recv()).await.unwrap().unwrap()
    }

    /// Its answer to an event.
    async fn invoke(&mut self, event: Value) -> Value {
        self.events.send(event).await.unwrap();
        timeout(PATIENCE, self.answers.recv()).await.unwrap().unwrap()
    }
}

async fn next(State(api): State<Arc<RuntimeApi>>) -> ([(&'static str, String); 3], Bytes) {
    let _ = api.polls.send(Instant::now()).await;
    let Some(event) = api.events.lock().await.recv().await else { return std::future::pending().await };
    let deadline = shared::clock::Clock::default().now_millis() + 29_000;
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:local".to_owned()),
    ];
    (headers, event.to_string().into())
}

async fn response(State(api): State<Arc<RuntimeApi>>, body: Bytes) -> StatusCode {
    let _ = api.answers.send(serde_json::from_slice(&body).unwrap_or_default()).await;
    StatusCode::ACCEPTED
}

/// Passes connections on to an upstream, and counts them.
struct CountingProxy {
    url: String,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl CountingProxy {
    async fn before(upstream: &str) -> Self {
        let listener = loopback::listen().await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream: SocketAddr = upstream.trim_start_matches("http://").parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(upstream).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { url, connections, task }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for CountingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An upstream that takes connections and never answers.
struct Silent {
    url: String,
    task: JoinHandle<()>,
}

impl Silent {
    async fn start() -> Self {
        let listener: TcpListener = loopback::listen().await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                open.push(connection);
            }
        });
        Self { url, task }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn list() -> Value {
    dashboard("GET", "/v1/integrations", "", &claims(ACCOUNT, "member"), "")
}

#[tokio::test]
async fn connections_are_opened_without_credentials_before_work_is_asked_for() {
    let world = World::start().await;
    let stack = &world.stack;
    stack.hubspot.forget_requests();
    let calls = || stack.dynamo.calls().len() + stack.secrets_manager.calls().len();
    let before = calls();

    for (number, binary) in FUNCTIONS.into_iter().enumerate() {
        Function::start(&world, binary, &[]).await.ready().await;

        let opened =
            [stack.dynamo.openings().len(), stack.secrets_manager.openings().len(), stack.hubspot.openings().len()];
        assert_eq!(opened, [number + 1; 3], "{binary}");
    }

    for headers in [stack.dynamo.openings(), stack.secrets_manager.openings()].concat() {
        let names: Vec<&str> = headers.keys().map(|name| name.as_str()).collect();
        assert!(!names.iter().any(|name| *name == "authorization" || name.starts_with("x-amz-")), "{names:?}");
    }
    for request in stack.hubspot.openings() {
        assert!(request.header("authorization").is_none() && request.body.is_empty(), "{request:?}");
        assert!(request.header("user-agent").unwrap().starts_with("hubspot-automations/"), "{request:?}");
    }
    assert_eq!((calls(), stack.hubspot.requests().len()), (before, 0), "none of them is a call");
}

#[tokio::test]
async fn the_first_execution_uses_the_connections_of_the_initialisation() {
    let world = World::start().await;
    world.stack.connect(ACCOUNT, "alice").await;
    let dynamodb = CountingProxy::before(&world.stack.dynamo.url()).await;
    let secrets_manager = CountingProxy::before(&world.stack.secrets_manager.url()).await;
    let hubspot = CountingProxy::before(&world.stack.hubspot.url()).await;
    let connections = || [dynamodb.connections(), secrets_manager.connections(), hubspot.connections()];
    let changes = [
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.url.clone()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secrets_manager.url.clone()),
        ("HUBSPOT_API_URL", hubspot.url.clone()),
        // The emulator's account is in a hub of its own.
        ("HUBSPOT_HUB_API_URL", hubspot.url.clone()),
    ];
    let mut function = Function::start(&world, "automation-execute", &changes).await;
    function.ready().await;
    assert_eq!(connections(), [1; 3]);
    let secrets_read = world.stack.secrets_manager.count("GetSecretValue");

    let answer = function.invoke(world.stack.automation_event(request(ACCOUNT, None).to_string())).await;

    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(world.stack.secrets_manager.count("GetSecretValue"), secrets_read + 1);
    assert_eq!(connections(), [1; 3]);
}

#[tokio::test]
async fn silent_upstreams_delay_the_start_by_300_ms_and_harm_nothing() {
    let world = World::start().await;
    let silent = Silent::start().await;
    let mut plain = Function::start(&world, "oauth-callback", &[]).await;
    plain.ready().await;
    let upstreams = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "HUBSPOT_API_URL"].map(|name| (name, silent.url.clone()));

    let began = Instant::now();
    let mut function = Function::start(&world, "oauth-callback", &upstreams).await;
    let took = function.ready().await - began;

    // Any other limit of a connection or a call is 2 s at least.
    assert!((Duration::from_millis(300)..Duration::from_millis(1_900)).contains(&took), "{took:?}");
    let answer = function.invoke(list()).await;
    assert_eq!((&answer["statusCode"], plain.invoke(list()).await), (&json!(200), answer.clone()), "{answer}");
}

#[tokio::test]
async fn upstreams_that_cannot_be_reached_do_not_keep_a_function_from_starting() {
    let world = World::start().await;
    let closed = format!("http://{}", loopback::listen().await.unwrap().local_addr().unwrap());
    let upstreams = ["AWS_ENDPOINT_URL_SECRETS_MANAGER", "HUBSPOT_API_URL"].map(|name| (name, closed.clone()));

    let mut function = Function::start(&world, "oauth-callback", &upstreams).await;
    function.ready().await;

    let answer = function.invoke(list()).await;
    assert_eq!(answer["statusCode"], 200, "{answer}");
}
