//! The caller's AWS identity: shown before every change, and part of its result.

use aws_sdk_sts::error::ProvideErrorMetadata;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;
use crate::stack::Stack;

/// The person or machine whose AWS credentials the tool uses.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Operator {
    aws_account: String,
    region: String,
    /// The IAM user or role; without the name of a session, which may be an e-mail address.
    pub(crate) acted_by: String,
}

impl Operator {
    /// Asks AWS who is calling, and shows people what a change will apply to.
    pub(crate) async fn identify(stack: &Stack, output: &mut Output) -> Result<Self, Failure> {
        let identity = aws_sdk_sts::Client::new(&stack.aws).get_caller_identity().send().await;
        let identity = identity.map_err(|error| {
            let advice = match error.code() {
                Some("ExpiredToken" | "InvalidClientTokenId" | "SignatureDoesNotMatch") => {
                    "the AWS credentials have expired or are not valid: sign in again, or choose others with --profile"
                }
                _ => "AWS STS cannot be reached: check the network and --region",
            };
            Failure::Unreachable(format!("{advice}. Nothing was done"))
        })?;
        let operator = Self {
            aws_account: identity.account.unwrap_or_else(|| "unknown".to_owned()),
            region: stack.aws.region().map(ToString::to_string).unwrap_or_default(),
            acted_by: principal(identity.arn.as_deref().unwrap_or("unknown")).to_owned(),
        };
        output.note(&[operator.place(stack)])?;
        output.flush()?;
        Ok(operator)
    }

    fn place(&self, stack: &Stack) -> String {
        format!(
            "AWS account {}, region {}, stack {}, as {}.",
            self.aws_account, self.region, stack.settings.state.secret_prefix, self.acted_by
        )
    }
}

/// The user or role of a caller's ARN.
fn principal(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    match resource.strip_prefix("assumed-role/") {
        Some(role) => &resource[..resource.len() - role.len() + role.find('/').unwrap_or(role.len())],
        None => resource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_principal_is_the_user_or_role_without_the_session() {
        for (arn, expected) in [
            ("arn:aws:iam::123456789012:user/ops/alice", "user/ops/alice"),
            ("arn:aws:sts::123456789012:assumed-role/Operators/alice@example.com", "assumed-role/Operators"),
            ("arn:aws:iam::123456789012:root", "root"),
            ("unknown", "unknown"),
        ] {
            assert_eq!(principal(arn), expected, "{arn}");
        }
    }
}
