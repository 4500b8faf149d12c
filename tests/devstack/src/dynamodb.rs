//! DynamoDB: the embedded emulator behind a pass-through that counts calls, fails them and holds them on demand.

mod capacity;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use serde_json::{Value, json};

use crate::aws::{self, AwsFront, AwsRequest, Service};
use crate::iam;
use crate::loopback::{self, Server, Task};
use crate::template::Table;
pub use capacity::Capacity;

const SERVICE: Service = Service {
    namespace: "com.amazonaws.dynamodb.v20120810#",
    content_type: "application/x-amz-json-1.0",
    internal: "InternalServerError",
    throttled: "ProvisionedThroughputExceededException",
    needed: iam::needed_by_dynamodb,
};

/// DynamoDB on loopback. Its calls, faults and gates are those of the front that it dereferences to.
#[derive(Debug)]
pub struct DynamoDb {
    server: Server,
    front: Arc<AwsFront>,
    proxy: Arc<Proxy>,
    _emulator: Option<Task>,
}

#[derive(Debug)]
struct Proxy {
    emulator: String,
    client: reqwest::Client,
    state: Mutex<ProxyState>,
}

#[derive(Debug, Default)]
struct ProxyState {
    /// How many answers an index is behind its table.
    index_lag: usize,
    /// The last answers of an index to a query of one shard, oldest first.
    index_answers: HashMap<String, VecDeque<Bytes>>,
    /// Capacity that the calls consumed, once it is measured.
    capacity: Option<Capacity>,
}

impl Deref for DynamoDb {
    type Target = AwsFront;

    fn deref(&self) -> &AwsFront {
        &self.front
    }
}

impl DynamoDb {
    /// Starts an empty database with these tables.
    ///
    /// # Errors
    /// The emulator does not start or refuses a table.
    pub async fn start(tables: &[Table]) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("DynamoDB does not start: {error}");
        let database = Database::memory().map_err(|error| format!("DynamoDB does not start: {error}"))?;
        let listener = loopback::listen().await.map_err(text)?;
        let emulator = format!("http://{}/", listener.local_addr().map_err(text)?);
        let task = Task(tokio::spawn(async move {
            let _ = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
        }));
        Self::before(emulator, Some(task), tables).await
    }

    /// Starts in front of another emulator, in which it creates these tables.
    ///
    /// # Errors
    /// The emulator cannot be reached or refuses a table.
    pub async fn in_front_of(endpoint: &str, tables: &[Table]) -> Result<Self, String> {
        Self::before(endpoint.to_owned(), None, tables).await
    }

    async fn before(emulator: String, task: Option<Task>, tables: &[Table]) -> Result<Self, String> {
        let proxy = Arc::new(Proxy { emulator, client: loopback::client(), state: Mutex::default() });
        for table in tables {
            proxy.create(table).await?;
        }
        let front = AwsFront::new(SERVICE);
        let forwarding = proxy.clone();
        let router = front.router(move |request| {
            let proxy = forwarding.clone();
            async move { proxy.forward(request).await }
        });
        let server = Server::start(router).await.map_err(|error| format!("DynamoDB does not start: {error}"))?;
        Ok(Self { server, front, proxy, _emulator: task })
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The endpoint behind it, at which calls are neither recorded nor go wrong: for tests that look at the truth.
    #[must_use]
    pub fn true_url(&self) -> String {
        self.proxy.emulator.clone()
    }

    /// From now on, a query of an index gets the answer that the same query (of the same shard, at whatever time) would
    /// have got so many queries before; nothing while there were fewer.
    pub fn set_index_lag(&self, queries: usize) {
        let mut state = self.proxy.state();
        state.index_lag = queries;
        state.index_answers.clear();
    }
}

impl Proxy {
    fn state(&self) -> MutexGuard<'_, ProxyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, table: &Table) -> Result<(), String> {
        self.command("CreateTable", &table.create).await?;
        if let Some(attribute) = &table.expires_by {
            let specification = json!({ "AttributeName": attribute, "Enabled": true });
            let body = json!({ "TableName": table.name, "TimeToLiveSpecification": specification });
            self.command("UpdateTimeToLive", &body).await?;
        }
        Ok(())
    }

    async fn command(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.ask("DynamoDB_20120810", operation, body).await
    }

    async fn stream_command(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.ask("DynamoDBStreams_20120810", operation, body).await
    }

    async fn ask(&self, service: &str, operation: &str, body: &Value) -> Result<Value, String> {
        let request = self
            .client
            .post(&self.emulator)
            .header("x-amz-target", format!("{service}.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20260101T000000Z")
            .body(body.to_string());
        let response = request.send().await.map_err(|error| format!("{operation}: {error}"))?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        if !status.is_success() {
            return Err(format!("{operation}: {status} {text}: {body}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// The answer of an index that lags, instead of `answer`.
    fn lagging(&self, request: &Bytes, answer: Bytes) -> Bytes {
        let mut state = self.state();
        let lag = state.index_lag;
        let request: Value = if lag > 0 { serde_json::from_slice(request).unwrap_or_default() } else { Value::Null };
        if request["IndexName"].is_null() {
            return answer;
        }
        let shard = request["ExpressionAttributeValues"][":shard"].to_string();
        let answers = state.index_answers.entry(shard).or_default();
        answers.push_back(answer);
        if answers.len() > lag {
            return answers.pop_front().unwrap_or_default();
        }
        Bytes::from_static(br#"{"Items":[],"Count":0,"ScannedCount":0}"#)
    }

    async fn forward(&self, request: AwsRequest) -> Response {
        let (operation, body) = (request.operation().to_owned(), request.body.clone());
        let measured = self.asking_for_capacity(&body).unwrap_or_else(|| body.clone());
        let sent = aws::send_on(&self.client, &self.emulator, AwsRequest { body: measured, ..request }).await;
        let Some((status, mut headers, answer)) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
        // The checksum is of what the table says, not of a lagging index.
        headers.remove("x-amz-crc32");
        self.note_capacity(&operation, &answer);
        let answer = self.lagging(&body, answer);
        (status, headers, answer).into_response()
    }
}
