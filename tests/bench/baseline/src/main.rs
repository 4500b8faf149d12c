//! The cost of any Lambda that calls HubSpot: one bare call per invocation, and nothing around it. The bench counts
//! what our functions cost in multiples of it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json, value::RawValue};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    #[expect(
        clippy::disallowed_methods,
        reason = "not a function of the product: three variables are its configuration"
    )]
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is missing"));
    let (url, token) = (&variable("HUBSPOT_API_URL")?, &variable("FLOOR_TOKEN")?);
    let client = &client(variable("BENCH_ROOT_CERTIFICATE").ok())?;
    // As our functions do, while the initialisation has a whole core.
    let _ = tokio::time::timeout(Duration::from_millis(300), client.head(url).send()).await;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        answer(client, url, token, event.payload["body"].as_str().unwrap_or_default()).await
    }))
    .await
}

#[derive(serde::Deserialize)]
struct Call<'a> {
    method: &'a str,
    endpoint: &'a str,
    body: Option<&'a RawValue>,
}

async fn answer(client: &reqwest::Client, url: &str, token: &str, body: &str) -> Result<Value, Error> {
    let fields: HashMap<&str, &RawValue> = serde_json::from_str(body)?;
    let call: Call<'_> = serde_json::from_str(fields.get("request").ok_or("there is no request")?.get())?;
    let mut request = client.request(call.method.parse()?, format!("{url}{}", call.endpoint));
    request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    if let Some(body) = call.body {
        request = request.header(CONTENT_TYPE, "application/json").body(body.get().to_owned());
    }
    let response = request.send().await?;
    let (status, text) = (response.status().as_u16(), response.text().await?);
    // HubSpot's JSON as it came.
    let body =
        format!(r#"{{"hubspot":{{"status":{status},"body":{}}}}}"#, if text.is_empty() { "null" } else { &text });
    Ok(json!({ "statusCode": 200, "headers": { "content-type": "application/json" }, "body": body }))
}

/// The client that `shared::clients` makes. It trusts one more root where the bench names one.
fn client(root: Option<String>) -> Result<reqwest::Client, Error> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(file) = root {
        roots.add(CertificateDer::from_pem_file(file)?)?;
    }
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).redirect(reqwest::redirect::Policy::none());
    let client = client.connect_timeout(Duration::from_secs(3)).retry(reqwest::retry::never()).referer(false);
    Ok(client.no_proxy().http1_only().build()?)
}
