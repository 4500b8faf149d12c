//! Wires the function: configuration, clients, handler.

use automation_execute::{App, Config, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::value::RawValue;
use shared::clients::Aws;
use shared::clock::Clock;
use shared::config::Reader;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let clock = Clock::default();
    shared::log::init("automation-execute", clock.clone());
    let config = Config::read(Reader::environment())?;
    let aws = Aws::from_environment(&clock)?;
    let app = App::new(config, aws.config(), clock)?;
    app.open_connections(&aws).await;
    let app = &app;
    run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        shared::log::invocation(&event.context.request_id, event.context.xray_trace_id.as_deref());
        let deadline = i64::try_from(event.context.deadline).unwrap_or(i64::MAX);
        Ok::<_, Error>(handle(app, event.payload.get(), deadline).await)
    }))
    .await
}
