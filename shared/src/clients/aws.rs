//! The AWS SDK over the same HTTP client that calls HubSpot.
//!
//! The SDK's own connector takes roots as PEM only: to write those of all authorities and to parse them again took 35
//! of the 48 million instructions of a cold start. It is a second stack beside reqwest besides.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_config::SdkConfig;
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::user_agent::UserAgentInterceptor;
use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::interceptors::BeforeSerializationInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, HttpClient, Intercept, RuntimeComponents, SharedInterceptor};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::disable_interceptor;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use http::Uri;
use reqwest::{Client, Request, Url};

use super::{AWS_CONNECT_TIMEOUT, TRUSTED_IDLE_MILLIS};
use crate::clock::Clock;
use crate::config::environment;

/// How many addresses are remembered. A function has two; a tool that signs in has others, with query strings.
const ADDRESSES: usize = 8;
/// The variable that names an endpoint.
const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";

/// Sends the SDK's requests. Their time-outs are the SDK's own, but for that of connecting, which is the client's.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    state: Arc<Mutex<SenderState>>,
    clock: Clock,
}

#[derive(Debug)]
struct SenderState {
    client: Client,
    /// When connections were opened that no request has used yet, in milliseconds since the epoch.
    opened_at: Option<i64>,
    /// The addresses so far, in both of their forms. A function has two: the operation is in a header. To parse one
    /// anew for each request took 2 % of a warm execution's instructions.
    addresses: Vec<(Uri, Url)>,
}

impl Sender {
    pub(super) fn new(client: Client, clock: Clock) -> Self {
        let state = SenderState { client, opened_at: None, addresses: Vec::new() };
        Self { state: Arc::new(Mutex::new(state)), clock }
    }

    /// Opens a connection for later requests, by a request without credentials.
    pub(super) async fn open(&self, endpoint: Url) -> reqwest::Result<()> {
        let client = {
            let mut state = self.state();
            state.opened_at = Some(self.clock.now_millis());
            state.client.clone()
        };
        // A connection is free again once the answer was read.
        client.get(endpoint).send().await?.bytes().await.map(drop)
    }

    /// The client to send the next request with.
    ///
    /// Under provisioned concurrency hours may pass before the first one: connections of the initialisation are then
    /// dead, and are not used.
    fn client(&self) -> Client {
        let mut state = self.state();
        if let Some(opened_at) = state.opened_at.take()
            && self.clock.now_millis() - opened_at > TRUSTED_IDLE_MILLIS
            && let Ok(client) = super::client(AWS_CONNECT_TIMEOUT)
        {
            state.client = client;
        }
        state.client.clone()
    }

    /// The SDK's request as reqwest takes it. All our bodies are in memory.
    fn translated(&self, request: HttpRequest) -> Result<Request, ConnectorError> {
        let (head, body) = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?.into_parts();
        let mut request = Request::new(head.method, self.url(head.uri)?);
        *request.headers_mut() = head.headers;
        *request.body_mut() = body.bytes().map(|bytes| bytes.to_vec().into());
        Ok(request)
    }

    fn url(&self, uri: Uri) -> Result<Url, ConnectorError> {
        let mut state = self.state();
        if let Some((_, url)) = state.addresses.iter().find(|(known, _)| *known == uri) {
            return Ok(url.clone());
        }
        let url = Url::parse(&uri.to_string()).map_err(|error| ConnectorError::user(error.into()))?;
        if state.addresses.len() == ADDRESSES {
            state.addresses.remove(0);
        }
        state.addresses.push((uri, url.clone()));
        Ok(url)
    }

    fn state(&self) -> MutexGuard<'_, SenderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Sender {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Sender {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sender = self.clone();
        HttpConnectorFuture::new(async move {
            let request = sender.translated(request)?;
            let response = sender.client().execute(request).await.map_err(failed)?;
            let response = http::Response::from(response).map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Leaves out the headers in which the SDK describes itself, the call and the attempt. AWS does not need them; to put
/// them together and to sign one of them took 5 % of a warm execution's instructions. Our own name is in their place.
#[derive(Debug)]
pub(crate) struct PlainHeaders;

impl PlainHeaders {
    pub(crate) fn shared() -> SharedInterceptor {
        SharedInterceptor::permanent(Self)
    }
}

impl Intercept for PlainHeaders {
    fn name(&self) -> &'static str {
        "PlainHeaders"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let reason = "AWS does not need it";
        let state = config.interceptor_state();
        state.store_put(disable_interceptor::<UserAgentInterceptor>(reason));
        state.store_put(disable_interceptor::<InvocationIdInterceptor>(reason));
        state.store_put(disable_interceptor::<RequestInfoInterceptor>(reason));
        Ok(())
    }
}

/// Classifies a failure for the SDK, which retries all but our own mistakes.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

/// The endpoints that the environment names in place of AWS's own, as every AWS tool takes them:
/// `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL_SECRETS_MANAGER`, or `AWS_ENDPOINT_URL` for both.
#[derive(Debug)]
pub(super) struct Endpoints;

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        named_endpoint(key.env(), key.service_id())
    }
}

fn named_endpoint(variable: &str, service_id: &str) -> Option<String> {
    let service = service_id.to_uppercase().replace(' ', "_");
    environment(&format!("{variable}_{service}")).or_else(|| environment(variable))
}

/// The endpoint that the SDK sends DynamoDB's calls to.
pub(super) async fn dynamodb_endpoint(config: &SdkConfig) -> Option<Url> {
    use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
    let params = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_endpoint(named_endpoint(ENDPOINT_URL, "DynamoDB"))
        .build()
        .ok()?;
    Url::parse(DefaultResolver::new().resolve_endpoint(&params).await.ok()?.url()).ok()
}

/// The endpoint that the SDK sends Secrets Manager's calls to.
pub(super) async fn secrets_manager_endpoint(config: &SdkConfig) -> Option<Url> {
    use aws_sdk_secretsmanager::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
    let params = Params::builder()
        .set_region(config.region().map(ToString::to_string))
        .set_endpoint(named_endpoint(ENDPOINT_URL, "Secrets Manager"))
        .build()
        .ok()?;
    Url::parse(DefaultResolver::new().resolve_endpoint(&params).await.ok()?.url()).ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn sender(clock: &Clock) -> Sender {
        Sender::new(crate::clients::client(AWS_CONNECT_TIMEOUT).unwrap(), clock.clone())
    }

    /// A server that answers every request with 200, and the number of its connections.
    fn server() -> (Url, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let mut request = [0; 4096];
                    while connection.read(&mut request).is_ok_and(|length| length > 0) {
                        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    }
                });
            }
        });
        (url, connections)
    }

    #[test]
    fn addresses_are_remembered_up_to_a_bound() {
        let sender = sender(&Clock::default());

        for number in 0..100 {
            let uri: Uri = format!("https://sso.example/?n={number}").parse().unwrap();
            assert_eq!(sender.url(uri).unwrap().query(), Some(&*format!("n={number}")));
        }

        assert_eq!(sender.state().addresses.len(), ADDRESSES);
    }

    #[tokio::test]
    async fn opened_connections_serve_only_if_the_first_request_follows_soon() {
        for (pause, expected) in [(4, 1), (6, 2)] {
            let (url, connections) = server();
            let clock = Clock::default();
            let sender = sender(&clock);
            sender.open(url.clone()).await.unwrap();
            clock.advance(Duration::from_secs(pause));

            for _ in 0..2 {
                sender.client().get(url.clone()).send().await.unwrap();
                // Later pauses change nothing: the SDK repeats what is lost on a dead connection.
                clock.advance(Duration::from_secs(3_600));
            }

            assert_eq!(connections.load(Ordering::SeqCst), expected, "{pause} s");
        }
    }
}
