//! The stack's data, read for assertions.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::Stack;

impl Stack {
    /// All records of an account, newest first.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn records(&self, account: &str) -> Result<Vec<HashMap<String, AttributeValue>>, String> {
        let query = self.dynamodb().query().table_name(self.table("INTEGRATIONS_TABLE"));
        let query = query.key_condition_expression("account_id = :account").consistent_read(true);
        let query = query.expression_attribute_values(":account", AttributeValue::S(account.to_owned()));
        let found = query.scan_index_forward(false).send().await;
        let found =
            found.map_err(|error| format!("the records of {account}: {}", aws_sdk_dynamodb::Error::from(error)))?;
        Ok(found.items.unwrap_or_default())
    }

    /// A number of the account's newest record, like `token_expires_at`.
    ///
    /// # Errors
    /// The account has no record, or the record no such number.
    pub async fn newest_number(&self, account: &str, attribute: &str) -> Result<i64, String> {
        let records = self.records(account).await?;
        let number = records.first().and_then(|newest| newest.get(attribute)?.as_n().ok()?.parse().ok());
        number.ok_or(format!("the newest record of {account} has no number {attribute}"))
    }

    /// A text of the account's newest record, like `secret_id`.
    ///
    /// # Errors
    /// The account has no record, or the record no such text.
    pub async fn newest_text(&self, account: &str, attribute: &str) -> Result<String, String> {
        let records = self.records(account).await?;
        let text = records.first().and_then(|newest| newest.get(attribute)?.as_s().ok().cloned());
        text.ok_or(format!("the newest record of {account} has no text {attribute}"))
    }
}
