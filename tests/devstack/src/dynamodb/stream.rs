//! A table's stream: what each write changed, as EventBridge Pipes and other readers get it.

use serde_json::{Value, json};

use super::DynamoDb;

impl DynamoDb {
    /// Ends a table's stream, for tests that write much: the emulator looks through the whole of it at every write.
    ///
    /// # Errors
    /// The table has no stream.
    pub async fn end_stream(&self, table: &str) -> Result<(), String> {
        let end = json!({ "TableName": table, "StreamSpecification": { "StreamEnabled": false } });
        self.proxy.command("UpdateTable", &end).await.map(drop)
    }

    /// Every record of a table's stream so far, in order.
    ///
    /// # Errors
    /// The table has no stream.
    pub async fn stream(&self, table: &str) -> Result<Vec<Value>, String> {
        let described = self.proxy.command("DescribeTable", &json!({ "TableName": table })).await?;
        let arn = &described["Table"]["LatestStreamArn"];
        if !arn.is_string() {
            return Err(format!("{table} has no stream"));
        }
        let described = self.proxy.stream_command("DescribeStream", &json!({ "StreamArn": arn })).await?;
        let mut records = Vec::new();
        for shard in described["StreamDescription"]["Shards"].as_array().into_iter().flatten() {
            let from = json!({ "StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON" });
            let mut iterator = self.proxy.stream_command("GetShardIterator", &from).await?["ShardIterator"].clone();
            loop {
                let got = self.proxy.stream_command("GetRecords", &json!({ "ShardIterator": iterator })).await?;
                let page = got["Records"].as_array().cloned().unwrap_or_default();
                if page.is_empty() {
                    break;
                }
                records.extend(page);
                iterator = got["NextShardIterator"].clone();
            }
        }
        Ok(records)
    }
}
