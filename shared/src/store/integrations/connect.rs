//! Writes that connect, reconnect and disconnect an integration.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use super::{contains, item_key, parse_record, string_list};
use crate::error::Error;
use crate::integration::{Integration, TokenState, shard};
use crate::store::write::{About, SERVICE, Write};
use crate::store::{Item, Store, WriteResult, n, s, unavailable};

impl Store {
    /// Creates a record, unless it exists.
    pub async fn insert(&self, integration: &Integration) -> Result<WriteResult, Error> {
        let mut item: Item = serde_dynamo::to_item(integration).map_err(|_| Error::internal("a record is no item"))?;
        // An imported one (negative) was connected long ago.
        if integration.sequence > 0 {
            item.insert("event".to_owned(), s("IntegrationConnected"));
            let acted_by = integration.connected_by.as_deref().unwrap_or(SERVICE);
            item.insert("acted_by".to_owned(), s(acted_by));
            item.insert("about".to_owned(), About::of(integration).attribute());
        }
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.config.integrations_table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(account_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(WriteResult::Applied),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let mine = contains(failed.item.as_ref(), "integration_id", integration.integration_id.as_str());
                    Ok(if mine { WriteResult::Applied } else { WriteResult::ConditionFailed })
                }
                _ => Err(unavailable("PutItem", &error)),
            },
        }
    }

    /// Gives the record the tokens of a new authorization. It wins over any refresh of the old one.
    pub async fn reconnect(&self, record: &Integration, to: &TokenState, acted_by: &str) -> Result<WriteResult, Error> {
        let mut write = Write::of(record)
            .set("secret_id", s(&to.pointer.secret_id))
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at))
            .set("refresh_shard", n(shard(&record.account_id)))
            .set("refresh_at", n(to.refresh_at))
            .set("scopes", string_list(&to.scopes))
            .set("status", s("active"))
            .event(
                "IntegrationRecovered",
                acted_by,
                &About { hub_id: to.hub_id.or(record.hub_id), ..About::sound(record) },
            );
        if let Some(hub_id) = to.hub_id {
            write = write.set("hub_id", n(hub_id));
        }
        write = match &record.pointer {
            Some(pointer) => write.if_equal("secret_id", s(&pointer.secret_id)),
            None => write.if_absent("secret_id"),
        };
        for name in
            ["status_reason", "status_since", "superseded_at", "failures", "refresh_not_before", "refused_since"]
        {
            write = write.remove(name);
        }
        for name in ["cooldown_until", "search_cooldown_until"] {
            write = write.remove(name);
        }
        write = match to.named_hub {
            Some(hub) => write.set("hub", s(hub.as_str())),
            None => write.remove("hub"),
        };
        write = write.remove("lease_owner").remove("lease_until").remove("ambiguous_until");
        Ok(self.written(write, "secret_id", &to.pointer.secret_id).await?)
    }

    /// Names who is about to delete the record: the event of the deletion is made of the record as it was.
    pub async fn announce_deletion(&self, record: &Integration, acted_by: &str) -> Result<(), Error> {
        let write = Write::of(record).set("acted_by", s(acted_by)).set("about", About::of(record).attribute());
        Ok(self.update(write).await.map(drop)?)
    }

    /// Deletes the record; gives it back as it was, or none if it was not there any more.
    pub async fn delete(&self, record: &Integration) -> Result<Option<Integration>, Error> {
        let deleted = self
            .dynamodb
            .delete_item()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(&record.key())))
            .condition_expression("integration_id = :id")
            .expression_attribute_values(":id", s(record.integration_id.as_str()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        match deleted {
            Ok(answer) => answer.attributes.map(parse_record).transpose(),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(unavailable("DeleteItem", &error)),
            },
        }
    }
}
