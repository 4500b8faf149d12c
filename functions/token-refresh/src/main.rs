//! Wires the function: configuration, clients, handler.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use shared::clients::Aws;
use shared::clock::Clock;
use shared::config::Reader;
use token_refresh::{App, Config, handle};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clock = Clock::default();
    shared::log::init("token-refresh", clock.clone());
    let config = Config::read(Reader::environment())?;
    let aws = Aws::from_environment(&clock)?;
    let app = App::new(config, aws.config(), clock)?;
    app.open_connections(&aws).await;
    let app = &app;
    run(service_fn(move |event: LambdaEvent<Value>| async move {
        shared::log::invocation(&event.context.request_id, event.context.xray_trace_id.as_deref());
        handle(app, event.payload, event.context.deadline as i64).await
    }))
    .await
}
