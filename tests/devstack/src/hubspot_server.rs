//! `devstack hubspot`: the HubSpot emulator alone, for a deployment that runs elsewhere on this machine (`make
//! rehearse`).

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::hubspot::{HubSpot, HubSpotOptions, RecordedRequest};

/// Serves until its standard input ends, so that it never outlives the process that started it.
///
/// The first line it prints says where it listens and what the app's credentials are; then every request it gets is one
/// line. Access tokens live `lifetime` seconds.
///
/// # Errors
/// The lifetime is no number, or standard input cannot be read.
pub async fn run(lifetime: &str) -> Result<(), String> {
    let expires_in = lifetime.parse().map_err(|_| format!("{lifetime} is not a number of seconds"))?;
    let hubspot = HubSpot::start(HubSpotOptions { expires_in, ..HubSpotOptions::default() }).await;
    println!(
        "{}",
        json!({
            "url": hubspot.url(),
            "authorize_url": hubspot.authorize_url(),
            "client_id": hubspot.client_id(),
            "client_secret": hubspot.client_secret(),
        })
    );
    tokio::select! {
        ended = end_of_input() => ended,
        () = print_requests(&hubspot) => Ok(()),
    }
}

async fn end_of_input() -> Result<(), String> {
    let mut nothing = [0; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut nothing).await.map_err(|error| format!("standard input: {error}"))? > 0 {}
    Ok(())
}

async fn print_requests(hubspot: &HubSpot) {
    let mut arrivals = hubspot.arrivals();
    let mut printed = 0;
    loop {
        let requests = hubspot.requests();
        for request in &requests[printed..] {
            println!("{}", line(request));
        }
        printed = requests.len();
        if arrivals.changed().await.is_err() {
            return;
        }
    }
}

fn line(request: &RecordedRequest) -> Value {
    let headers = request.headers.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)]));
    json!({
        "method": request.method,
        "target": request.target,
        "headers": headers.collect::<Vec<_>>(),
        "body": request.text(),
    })
}
