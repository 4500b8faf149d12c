//! The caller, as the authorizer identified it. The functions check it again and refuse an event without it.

use std::borrow::Cow;

use crate::config::Claims;
use crate::crypto;
use crate::error::Error;
use crate::gateway::Event;
use crate::integration::AccountId;

/// A person of an account, as the dashboard's token names them.
#[derive(Debug)]
pub struct Member {
    /// Whose data they may see.
    pub account_id: AccountId,
    /// The user's id.
    pub user_id: String,
}

impl Member {
    /// Any person of an account.
    pub fn of(event: &Event, claims: &Claims) -> Result<Self, Error> {
        let account = event.claim(&claims.account).ok_or(Error::Unauthenticated)?;
        let user = event.claim("sub").filter(|sub| !sub.is_empty()).ok_or(Error::Unauthenticated)?;
        let account_id = AccountId::try_from(account.into_owned()).map_err(|_| Error::Unauthenticated)?;
        Ok(Self { account_id, user_id: user.chars().take(256).collect() })
    }

    /// A person who may connect and disconnect: the role is one value, compared whole.
    ///
    /// API Gateway hands a list over as the text `[a b]`, which cannot be taken apart safely.
    pub fn admin_of(event: &Event, claims: &Claims) -> Result<Self, Error> {
        let member = Self::of(event, claims)?;
        if event.claim(&claims.role).as_deref() == Some(claims.admin.as_str()) {
            return Ok(member);
        }
        Err(Error::Forbidden("Only an admin of the account may connect or disconnect HubSpot.".to_owned()))
    }
}

/// A person as log lines and the list of integrations name them: by `sub` where it is opaque. An e-mail address is not,
/// and is in no log and no response, so it is replaced with the first 16 hex digits of its SHA-256.
pub fn logged_person(user_id: &str) -> Cow<'_, str> {
    if user_id.contains('@') {
        return Cow::Owned(format!("sha256:{}", &crypto::sha256_hex(user_id)[..16]));
    }
    Cow::Borrowed(user_id)
}

/// Makes sure that the caller is the workflow engine: authenticated by IAM, and of the one role where one is set.
pub fn require_engine(event: &Event, engine_role_arn: Option<&str>) -> Result<(), Error> {
    let caller = event.user_arn().ok_or(Error::Unauthenticated)?;
    match engine_role_arn {
        Some(role) if !is_session_of(caller, role) => {
            Err(Error::Forbidden("Only the workflow engine's role may call this route.".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Returns true if `caller` (`arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`) is a session of `role`
/// (`arn:aws:iam::ACCOUNT:role/PATH/NAME`): the session's ARN drops the path, and names are unique within an account.
fn is_session_of(caller: &str, role: &str) -> bool {
    let parts = |arn: &str, service: &str, kind: &str| {
        let fields: Vec<&str> = arn.splitn(6, ':').collect();
        let [_, partition, s, _, account, resource] = fields[..] else { return None };
        let rest = resource.strip_prefix(kind)?.to_owned();
        (s == service).then(|| (partition.to_owned(), account.to_owned(), rest))
    };
    let Some((partition, account, session)) = parts(caller, "sts", "assumed-role/") else { return false };
    let Some((role_partition, role_account, path)) = parts(role, "iam", "role/") else { return false };
    let Some((name, _)) = session.split_once('/') else { return false };
    partition == role_partition && account == role_account && path.rsplit('/').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_plays_its_own_role_and_no_other() {
        let session = "arn:aws:sts::123456789012:assumed-role/engine/i-1";
        for (role, good) in [
            ("arn:aws:iam::123456789012:role/engine", true),
            ("arn:aws:iam::123456789012:role/a/path/engine", true),
            ("arn:aws:iam::123456789012:role/engine2", false),
            ("arn:aws:iam::210987654321:role/engine", false),
            ("arn:aws-cn:iam::123456789012:role/engine", false),
            ("arn:aws:iam::123456789012:user/engine", false),
            ("engine", false),
        ] {
            assert_eq!(is_session_of(session, role), good, "{role}");
        }
        assert!(!is_session_of("arn:aws:iam::123456789012:user/engine", "arn:aws:iam::123456789012:role/engine"));
        assert!(!is_session_of(
            "arn:aws:sts::123456789012:assumed-role/engine",
            "arn:aws:iam::123456789012:role/engine"
        ));
    }

    #[test]
    fn only_the_role_admin_compared_whole_is_an_admin() {
        let claims = Claims { account: "account_id".into(), role: "role".into(), admin: "admin".into() };
        let code = |role: serde_json::Value| {
            let event = serde_json::json!({"requestContext": {"authorizer": {"jwt": {"claims": {
                "account_id": "acc", "sub": "u", "role": role}}}}});
            Member::admin_of(&serde_json::from_value(event).unwrap(), &claims).map_or_else(|e| e.code(), |_| "ok")
        };

        assert_eq!(code("admin".into()), "ok");
        for role in ["member", "Admin", "[admin]", "[admin member]", "admin ", ""] {
            assert_eq!(code(role.into()), "forbidden", "{role}");
        }
    }

    #[test]
    fn an_event_without_a_caller_is_refused() {
        let claims = Claims { account: "account_id".into(), role: "role".into(), admin: "admin".into() };

        assert_eq!(Member::of(&Event::default(), &claims).unwrap_err().code(), "unauthenticated");
        assert_eq!(require_engine(&Event::default(), None).unwrap_err().code(), "unauthenticated");
    }

    #[test]
    fn a_person_without_a_name_is_refused() {
        let claims = Claims { account: "account_id".into(), role: "role".into(), admin: "admin".into() };
        let event = |sub: &str| {
            let claims = serde_json::json!({"account_id": "acc", "sub": sub});
            serde_json::from_value(serde_json::json!({"requestContext": {"authorizer": {"jwt": {"claims": claims}}}}))
        };

        assert_eq!(Member::of(&event("u").unwrap(), &claims).unwrap().user_id, "u");
        assert_eq!(Member::of(&event("").unwrap(), &claims).unwrap_err().code(), "unauthenticated");
    }

    #[test]
    fn an_email_address_is_logged_as_its_hash() {
        assert_eq!(logged_person("auth0|7f3c"), "auth0|7f3c");
        // `printf jane@example.com | sha256sum`
        assert_eq!(logged_person("jane@example.com"), "sha256:8c87b489ce35cf2e");
    }

    #[test]
    fn only_the_engines_own_role_is_let_in_where_one_is_set() {
        let caller = serde_json::json!({"userArn": "arn:aws:sts::123456789012:assumed-role/engine/i-1"});
        let event = serde_json::json!({"requestContext": {"authorizer": {"iam": caller}}});
        let event: Event = serde_json::from_value(event).unwrap();

        assert!(require_engine(&event, None).is_ok());
        assert!(require_engine(&event, Some("arn:aws:iam::123456789012:role/engine")).is_ok());
        let another = require_engine(&event, Some("arn:aws:iam::123456789012:role/another"));
        assert_eq!(another.unwrap_err().code(), "forbidden");
    }
}
