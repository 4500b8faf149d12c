//! Consumed capacity, as the emulator reports it: the request units that AWS bills.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::{DynamoDb, Proxy};

/// Request units of on-demand tables, indexes included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    /// Of reads.
    pub read: f64,
    /// Of writes.
    pub write: f64,
}

impl DynamoDb {
    /// From now on adds up what calls consume.
    pub fn measure_capacity(&self) {
        self.proxy.state().capacity = Some(Capacity::default());
    }

    /// Capacity that calls consumed since [`Self::measure_capacity`].
    #[must_use]
    pub fn capacity(&self) -> Capacity {
        self.proxy.state().capacity.unwrap_or_default()
    }
}

impl Proxy {
    /// The request with the question what it consumes, if that is wanted.
    pub(super) fn asking_for_capacity(&self, body: &Bytes) -> Option<Bytes> {
        self.state().capacity?;
        let mut request: Value = serde_json::from_slice(body).ok()?;
        request["ReturnConsumedCapacity"] = json!("TOTAL");
        Some(request.to_string().into())
    }

    pub(super) fn note_capacity(&self, operation: &str, answer: &Bytes) {
        let mut state = self.state();
        let Some(capacity) = state.capacity.as_mut() else { return };
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        // One for a call of one table, a list for a transaction or a batch.
        let consumed = &answer["ConsumedCapacity"];
        let each = consumed.as_array().map_or_else(|| std::slice::from_ref(consumed), Vec::as_slice);
        let units: f64 = each.iter().filter_map(|one| one["CapacityUnits"].as_f64()).sum();
        match operation {
            "Query" | "GetItem" | "BatchGetItem" | "TransactGetItems" | "Scan" => capacity.read += units,
            _ => capacity.write += units,
        }
    }
}
