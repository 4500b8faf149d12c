//! IAM: each function may do what its role in the template allows, and nothing else.
//!
//! A function signs with a key of its own; the emulators ask here before a call takes effect. Keys that are no
//! function's may do everything: they are the tests'.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::template::{ACCOUNT, Function, REGION, Statement};

/// Permissions of the functions' roles, and those that were used. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    roles: Arc<BTreeMap<String, Role>>,
    used: Arc<Mutex<BTreeSet<Permission>>>,
    denied: Arc<Mutex<Vec<String>>>,
}

#[derive(Debug)]
struct Role {
    binary: String,
    statements: Vec<Statement>,
}

/// One action on one resource, as a policy grants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The binary of the function.
    pub binary: String,
    /// The action, `dynamodb:Query`.
    pub action: String,
    /// The resource as the policy writes it, `*` in it.
    pub resource: String,
}

/// The id of the access key that a function signs with.
#[must_use]
pub fn access_key(binary: &str) -> String {
    format!("ASIALOCAL{}", binary.replace('-', "").to_uppercase())
}

/// The access key of a call, from its `Authorization`.
pub(crate) fn key_of(authorization: &str) -> &str {
    let credential = authorization.split_once("Credential=").map_or("", |(_, rest)| rest);
    credential.split('/').next().unwrap_or_default()
}

impl Policies {
    /// The roles of these functions. One without a role may do everything.
    #[must_use]
    pub fn of(functions: &[Function]) -> Self {
        let roles = functions.iter().filter_map(|function| {
            let statements = function.statements.clone()?;
            Some((access_key(&function.binary), Role { binary: function.binary.clone(), statements }))
        });
        Self { roles: Arc::new(roles.collect()), ..Self::default() }
    }

    /// Everything that the roles grant, action by action and resource by resource.
    #[must_use]
    pub fn granted(&self) -> BTreeSet<Permission> {
        let of_role = |role: &Role| -> Vec<Permission> {
            role.statements.iter().flat_map(|statement| grants(&role.binary, statement)).collect()
        };
        self.roles.values().flat_map(of_role).collect()
    }

    /// The permissions that were used so far.
    #[must_use]
    pub fn used(&self) -> BTreeSet<Permission> {
        locked(&self.used).clone()
    }

    /// The calls that were refused so far, in words.
    #[must_use]
    pub fn denied(&self) -> Vec<String> {
        locked(&self.denied).clone()
    }

    /// Checks that the holder of a key may do all of this; the error is the first action that it may not.
    pub(crate) fn check(&self, key: &str, needed: &[(String, String)]) -> Result<(), String> {
        let Some(role) = self.roles.get(key) else { return Ok(()) };
        for (action, resource) in needed {
            let all = role.statements.iter().flat_map(|statement| grants(&role.binary, statement));
            match all.into_iter().find(|grant| grant.action == *action && fits(&grant.resource, resource)) {
                Some(grant) => drop(locked(&self.used).insert(grant)),
                None => {
                    let refusal = format!("the role of {} does not allow {action} on {resource}", role.binary);
                    eprintln!("IAM: {refusal}");
                    locked(&self.denied).push(refusal.clone());
                    return Err(refusal);
                }
            }
        }
        Ok(())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn grants(binary: &str, statement: &Statement) -> Vec<Permission> {
    let pairs = statement.actions.iter().flat_map(|action| {
        let of_action = |resource: &String| Permission {
            binary: binary.to_owned(),
            action: action.clone(),
            resource: resource.clone(),
        };
        statement.resources.iter().map(of_action)
    });
    pairs.collect()
}

/// Returns true if a resource is one of those that a pattern with `*` names.
fn fits(pattern: &str, resource: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| resource.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The permissions of a DynamoDB call: a transaction each of its steps, a query of an index that index.
pub(crate) fn needed_by_dynamodb(operation: &str, body: &Value) -> Vec<(String, String)> {
    let arn = |body: &Value| {
        let table = body["TableName"].as_str().unwrap_or_default();
        let index = body["IndexName"].as_str().map(|index| format!("/index/{index}")).unwrap_or_default();
        format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}{index}")
    };
    if operation != "TransactWriteItems" {
        return vec![(format!("dynamodb:{operation}"), arn(body))];
    }
    let steps = body["TransactItems"].as_array().into_iter().flatten().filter_map(Value::as_object).flatten();
    let needed = steps.map(|(step, body)| {
        let action = if step == "ConditionCheck" { "ConditionCheckItem".to_owned() } else { format!("{step}Item") };
        (format!("dynamodb:{action}"), arn(body))
    });
    needed.collect()
}

/// The permissions of a Secrets Manager call. The six characters at the end of an ARN are AWS's choice: here they are
/// those of the template's reader.
pub(crate) fn needed_by_secrets_manager(operation: &str, body: &Value) -> Vec<(String, String)> {
    let named = ["SecretId", "Name"].iter().find_map(|member| body[*member].as_str());
    let resource = named.map_or_else(
        || "*".to_owned(),
        |id| {
            let name = match id.split_once(":secret:") {
                Some((_, name)) => name.rsplit_once('-').map_or(name, |(name, _)| name),
                None => id,
            };
            format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-LoCaL0")
        },
    );
    vec![(format!("secretsmanager:{operation}"), resource)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_names_what_it_says_and_nothing_around_it() {
        for (pattern, resource, expected) in [
            ("*", "anything", true),
            ("table/a", "table/a", true),
            ("table/a", "table/ab", false),
            ("table/a", "xtable/a", false),
            ("secret:local/integrations/*", "secret:local/integrations/1", true),
            ("secret:local/integrations/*", "secret:local/app", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
        ] {
            assert_eq!(fits(pattern, resource), expected, "{pattern} {resource}");
        }
    }

    #[test]
    fn a_transaction_needs_each_of_its_steps_and_a_query_of_an_index_that_index() {
        let transaction = json!({"TransactItems": [
            {"Update": {"TableName": "t"}}, {"ConditionCheck": {"TableName": "u"}}]});

        let steps = needed_by_dynamodb("TransactWriteItems", &transaction);
        let query = needed_by_dynamodb("Query", &json!({"TableName": "t", "IndexName": "i"}));

        let actions: Vec<&str> = steps.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["dynamodb:UpdateItem", "dynamodb:ConditionCheckItem"]);
        assert!(steps[1].1.ends_with(":table/u") && query[0].1.ends_with(":table/t/index/i"));
    }

    #[test]
    fn a_role_may_do_what_it_says_and_nobody_s_key_everything() {
        let statement = Statement { actions: vec!["a:Read".into()], resources: vec!["arn:x/*".into()] };
        let role = Role { binary: "reader".into(), statements: vec![statement] };
        let roles = Arc::new(BTreeMap::from([(access_key("reader"), role)]));
        let policies = Policies { roles, ..Policies::default() };
        let need = |action: &str, resource: &str| vec![(action.to_owned(), resource.to_owned())];

        assert!(policies.check(&access_key("reader"), &need("a:Read", "arn:x/1")).is_ok());
        assert!(policies.check(&access_key("reader"), &need("a:Write", "arn:x/1")).is_err());
        assert!(policies.check(&access_key("reader"), &need("a:Read", "arn:y/1")).is_err());
        assert!(policies.check("somebody", &need("a:Write", "arn:y/1")).is_ok());
        assert_eq!((policies.used().len(), policies.denied().len()), (1, 2));
    }

    #[test]
    fn the_key_of_a_call_is_the_one_that_signed_it() {
        let header =
            "AWS4-HMAC-SHA256 Credential=ASIALOCALX/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host";

        assert_eq!((key_of(header), key_of("")), ("ASIALOCALX", ""));
    }
}
