//! The AWS SDK over the same HTTP client that calls HubSpot.
//!
//! The SDK's own connector takes roots as PEM only: to write those of all authorities and to parse them again took 35
//! of the 48 million instructions of a cold start. It is a second stack beside reqwest besides.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use http::Uri;
use reqwest::{Client, Request, Url};

use crate::config::environment;

/// How many addresses are remembered. A function has two; a tool that signs in has others, with query strings.
const ADDRESSES: usize = 8;

/// Sends the SDK's requests. Their time-outs are the SDK's own, but for that of connecting, which is the client's.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    client: Client,
    /// The addresses so far, in both of their forms. A function has two: the operation is in a header. To parse one
    /// anew for each request took 2 % of a warm execution's instructions.
    addresses: Arc<Mutex<Vec<(Uri, Url)>>>,
}

impl Sender {
    pub(super) fn new(client: Client) -> Self {
        Self { client, addresses: Arc::default() }
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
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, url)) = addresses.iter().find(|(known, _)| *known == uri) {
            return Ok(url.clone());
        }
        let url = Url::parse(&uri.to_string()).map_err(|error| ConnectorError::user(error.into()))?;
        if addresses.len() == ADDRESSES {
            addresses.remove(0);
        }
        addresses.push((uri, url.clone()));
        Ok(url)
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
            let response = sender.client.execute(request).await.map_err(failed)?;
            let response = http::Response::from(response).map(SdkBody::from_body_1_x);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
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
        let service = key.service_id().to_uppercase().replace(' ', "_");
        environment(&format!("{}_{service}", key.env())).or_else(|| environment(key.env()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_remembered_up_to_a_bound() {
        let sender = Sender::new(crate::clients::client(crate::clients::AWS_CONNECT_TIMEOUT).unwrap());

        for number in 0..100 {
            let uri: Uri = format!("https://sso.example/?n={number}").parse().unwrap();
            assert_eq!(sender.url(uri).unwrap().query(), Some(&*format!("n={number}")));
        }

        assert_eq!(sender.addresses.lock().unwrap().len(), ADDRESSES);
    }
}
