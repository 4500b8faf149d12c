//! Names of created resources: `Ref` and `GetAtt`.

use serde_json::Value;

use super::resolve::Resolver;
use super::{ACCOUNT, REGION};

impl<'a> Resolver<'a> {
    /// The value of `Ref`.
    pub(super) fn physical_id(&self, name: &str) -> Result<String, String> {
        // SAM: `Ref` of `Function.Alias` is the alias that it makes.
        if let Some(function) = name.strip_suffix(".Alias") {
            return Ok(format!("{}:live", self.arn(function)?));
        }
        let resource = self.resource(name)?;
        match resource["Type"].as_str().unwrap_or_default() {
            "AWS::SecretsManager::Secret" | "AWS::SNS::Topic" => self.arn(name),
            "AWS::SQS::Queue" => Ok(format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{}", self.name(name)?)),
            _ => self.name(name),
        }
    }

    /// The physical name: the one that the template gives, else the stack's name and the logical one.
    fn name(&self, logical: &str) -> Result<String, String> {
        let resource = self.resource(logical)?;
        let keys =
            ["TableName", "FunctionName", "RoleName", "QueueName", "TopicName", "LogGroupName", "AlarmName", "Name"];
        for key in keys {
            if let Some(name) = resource["Properties"].get(key)
                && let Some(name) = self.text(name)?
            {
                return Ok(name);
            }
        }
        Ok(format!("{}-{logical}", self.values.stack_name))
    }

    fn arn(&self, logical: &str) -> Result<String, String> {
        let kind = self.resource(logical)?["Type"].as_str().unwrap_or_default();
        let name = self.name(logical)?;
        let (service, path) = match kind {
            "AWS::IAM::Role" => return Ok(format!("arn:aws:iam::{ACCOUNT}:role/{name}")),
            "AWS::SecretsManager::Secret" => ("secretsmanager", format!("secret:{name}-LoCaL0")),
            "AWS::DynamoDB::Table" => ("dynamodb", format!("table/{name}")),
            "AWS::KMS::Key" => ("kms", format!("key/{name}")),
            "AWS::Serverless::Function" | "AWS::Lambda::Function" => ("lambda", format!("function:{name}")),
            "AWS::Logs::LogGroup" => ("logs", format!("log-group:{name}:*")),
            "AWS::SQS::Queue" => ("sqs", name),
            "AWS::SNS::Topic" => ("sns", name),
            other => (other.split("::").nth(1).unwrap_or("unknown"), name),
        };
        Ok(format!("arn:aws:{}:{REGION}:{ACCOUNT}:{path}", service.to_lowercase()))
    }

    pub(super) fn attribute_of(&self, logical: &str, attribute: &str) -> Result<String, String> {
        let kind = self.resource(logical)?["Type"].as_str().unwrap_or_default();
        match (kind, attribute) {
            ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => Ok(self.values.api_endpoint.clone()),
            (_, "Arn" | "TopicArn" | "Id") => self.arn(logical),
            (_, "QueueName" | "RoleName" | "FunctionName" | "TopicName") => self.name(logical),
            _ => Ok(format!("{logical}.{attribute}")),
        }
    }

    fn resource(&self, logical: &str) -> Result<&'a Value, String> {
        self.root["Resources"].get(logical).ok_or(format!("the template has neither parameter nor resource {logical}"))
    }
}
