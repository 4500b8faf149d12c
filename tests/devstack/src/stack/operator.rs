//! Support for the operator's tool on the stack.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Stack, aws, binaries};
use crate::template::REGION;

impl Stack {
    /// The variables of a shell from which an operator works on the stack.
    #[must_use]
    pub fn operator(&self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        for function in &self.deployment.functions {
            variables.extend(function.environment.clone());
        }
        variables.extend(aws::credentials(aws::NO_FUNCTION).map(|(name, value)| (name.to_owned(), value.to_owned())));
        variables.insert("AWS_REGION".to_owned(), REGION.to_owned());
        variables.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), self.dynamo.url());
        variables.insert("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), self.secrets_manager.url());
        variables.insert("AWS_ENDPOINT_URL_STS".to_owned(), self.sts.url());
        variables
    }

    /// The executable of the operator's tool.
    ///
    /// # Errors
    /// It is not built.
    pub fn hubspotctl() -> Result<PathBuf, String> {
        binaries::find("hubspotctl")
    }
}
