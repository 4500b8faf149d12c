//! Changes that a person can make to HubSpot and to time: one lever each, for the page and for `curl`.

mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock;

use self::table::LEVERS;
use crate::hubspot::{Match, PortalLocation, RateLimit, ReportedFault, Rotation, TokenFields};
use crate::stack::Stack;

/// The portals of `devstack run`.
pub(crate) const PORTALS: [u64; 2] = [crate::hubspot::PORTAL, 44_110_022];

/// A lever that was pulled.
#[derive(Clone, Debug)]
pub(super) struct Pulled {
    pub(super) at: i64,
    pub(super) account: String,
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) parameters: Value,
}

/// The levers of a stack.
#[derive(Debug)]
pub(super) struct Levers {
    stack: Arc<Stack>,
    pulled: Mutex<Vec<Pulled>>,
    /// The effects in force until HubSpot recovers, by lever and portal.
    active: Mutex<BTreeMap<(&'static str, u64), String>>,
}

impl Levers {
    pub(super) fn of(stack: Arc<Stack>) -> Self {
        Self { stack, pulled: Mutex::default(), active: Mutex::default() }
    }

    pub(super) fn pulled(&self) -> Vec<Pulled> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<(&'static str, u64), String>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps in mind what is in force from now on.
    fn begin(&self, lever: (&'static str, u64), text: String) -> String {
        self.active().insert(lever, text.clone());
        text
    }

    /// Forgets what was in force.
    fn end(&self, lever: (&'static str, u64), text: String) -> String {
        self.active().remove(&lever);
        text
    }

    /// All levers with their parameters, and what is in force.
    pub(super) fn list(&self) -> Value {
        let levers = LEVERS.iter().map(|lever| {
            let parameters = lever.parameters.iter();
            let parameters: Vec<Value> = parameters
                .map(|(name, label, choices)| json!({ "name": name, "label": label, "choices": choices }))
                .collect();
            json!({
                "name": lever.name, "title": lever.title, "explanation": lever.explanation, "parameters": parameters,
            })
        });
        json!({ "levers": levers.collect::<Vec<_>>(), "active": self.active().values().collect::<Vec<_>>() })
    }

    /// Pulls a lever; the text says what to do where its name or a parameter is wrong.
    pub(super) async fn pull(&self, name: &str, account: &str, parameters: &Value) -> Result<Value, String> {
        let names = || LEVERS.iter().map(|lever| lever.name).collect::<Vec<_>>().join(", ");
        let lever = LEVERS.iter().find(|lever| lever.name == name);
        let lever = lever.ok_or_else(|| format!("There is no lever {name}. There are: {}.", names()))?;
        let mut chosen = BTreeMap::new();
        for (parameter, _, choices) in lever.parameters {
            let given =
                parameters.get(parameter).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            let value = given.unwrap_or_else(|| choices[0].0.to_owned());
            let (value, label) = choices.iter().find(|(own, _)| *own == value).ok_or_else(|| {
                let values = choices.iter().map(|(own, _)| *own).collect::<Vec<_>>().join(", ");
                format!("{parameter} is one of: {values}.")
            })?;
            chosen.insert(*parameter, (*value, *label));
        }
        let choice = Choice { account, chosen };
        let done = self.act(lever.name, &choice).await?;
        let pulled = Pulled {
            at: Clock::default().now_millis(),
            account: account.to_owned(),
            name: lever.name,
            text: done.clone(),
            parameters: parameters.clone(),
        };
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner).push(pulled);
        let open = (lever.name == "install").then(|| self.marketplace(&choice));
        Ok(json!({ "done": done, "open": open, "active": self.active().values().collect::<Vec<_>>() }))
    }

    async fn act(&self, name: &'static str, choice: &Choice<'_>) -> Result<String, String> {
        let hubspot = &self.stack.hubspot;
        match name {
            "expire-token" => {
                self.set_on_records(choice.account, &["token_expires_at"]).await?;
                hubspot.expire_access_tokens();
                Ok("The access tokens have expired.".to_owned())
            }
            "run-refresh" => self.refresh(choice.account).await,
            "revoke" => {
                hubspot.revoke_refresh_tokens(choice.portal());
                Ok(format!("The refresh tokens of portal {} are revoked.", choice.portal()))
            }
            "uninstall" => {
                hubspot.uninstall(choice.portal());
                Ok(format!("The app is uninstalled in portal {}.", choice.portal()))
            }
            "fail" => Ok(self.fail(choice)),
            "rate-limit" => Ok(self.limit(choice)),
            "rotate" => Ok(self.rotate(choice)),
            "withdraw-scope" => Ok(self.withdraw(choice)),
            "rename-scope" => Ok(self.rename(choice)),
            "move-portal" => Ok(self.move_portal(choice)),
            "token-answer" => Ok(self.shorten(choice)),
            "install" => Ok("An installation began in the marketplace.".to_owned()),
            "hostile-contact" => Ok(self.create_hostile_contact(choice)),
            "recover" => Ok(self.recover()),
            _ => Err(format!("The lever {name} does nothing.")),
        }
    }

    /// Sets times of the account's records to a second ago.
    async fn set_on_records(&self, account: &str, attributes: &[&str]) -> Result<(), String> {
        let now = AttributeValue::N((Clock::default().now() - 1).to_string());
        for record in self.stack.records(account).await? {
            for attribute in attributes.iter().filter(|attribute| record.contains_key(**attribute)) {
                let update = self.stack.dynamodb().update_item().table_name(self.stack.table("INTEGRATIONS_TABLE"));
                let update =
                    update.key("account_id", record["account_id"].clone()).key("sequence", record["sequence"].clone());
                let update = update.update_expression("SET #a = :now").expression_attribute_names("#a", *attribute);
                let update = update.expression_attribute_values(":now", now.clone()).send().await;
                update.map_err(|error| aws_sdk_dynamodb::Error::from(error).to_string())?;
            }
        }
        Ok(())
    }

    async fn refresh(&self, account: &str) -> Result<String, String> {
        self.set_on_records(account, &["refresh_at", "refresh_not_before", "token_expires_at"]).await?;
        let report =
            self.stack.run_schedule_once(None).await.map_err(|error| format!("token-refresh failed: {error}"))?;
        let counts = report.as_object().into_iter().flatten().filter(|(_, count)| count.as_u64() != Some(0));
        let counts: Vec<String> = counts.map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        Ok(format!(
            "token-refresh ran: {}.",
            if counts.is_empty() { "nothing was due".to_owned() } else { counts.join(", ") }
        ))
    }

    fn fail(&self, choice: &Choice<'_>) -> String {
        let ((place, place_label), (how, how_label)) = (choice.of("where"), choice.of("how"));
        let matching = match place {
            "token" => Match::token(),
            "search" => Match::api().target("/search"),
            "owners" => Match::path("/crm/v3/owners"),
            _ => Match::api(),
        };
        self.stack.hubspot.clear_scripts();
        if let Some(fault) = ReportedFault::named(how) {
            self.stack.hubspot.script_always(matching, fault);
        }
        self.begin(("fail", 0), format!("HubSpot's {place_label} {how_label}."))
    }

    fn limit(&self, choice: &Choice<'_>) -> String {
        let per_ten_seconds = choice.of("requests").0.parse().ok();
        self.stack.hubspot.set_rate_limit(
            per_ten_seconds.map(|per_ten_seconds| RateLimit { per_ten_seconds, ..RateLimit::default() }),
        );
        match per_ten_seconds {
            Some(limit) => self.begin(("rate-limit", 0), format!("HubSpot takes {limit} requests in 10 s.")),
            None => self.end(("rate-limit", 0), "HubSpot limits no rate.".to_owned()),
        }
    }

    fn rotate(&self, choice: &Choice<'_>) -> String {
        let (rotation, label) = choice.of("rotation");
        self.stack.hubspot.set_rotation(match rotation {
            "strict" => Rotation::Strict,
            "grace" => Rotation::Grace(30_000),
            _ => Rotation::Keep,
        });
        let text = format!("Refresh tokens {label}.");
        if rotation == "keep" { self.end(("rotate", 0), text) } else { self.begin(("rotate", 0), text) }
    }

    fn rename(&self, choice: &Choice<'_>) -> String {
        if choice.of("names").0 == "coarse" {
            self.stack.hubspot.restore_scope_names();
            return self.end(("rename-scope", 0), "The scope tickets has its own name again.".to_owned());
        }
        let successors = ["crm.objects.tickets.read", "crm.objects.tickets.write"];
        self.stack.hubspot.rename_scope("tickets", &successors);
        self.begin(("rename-scope", 0), format!("The scope tickets is granted as {}.", successors.join(" and ")))
    }

    fn move_portal(&self, choice: &Choice<'_>) -> String {
        let (portal, (to, label)) = (choice.portal(), choice.of("to"));
        let location = match to {
            "home" => PortalLocation::Common,
            "migrating" => PortalLocation::Migrating,
            hub => PortalLocation::Hub(hub),
        };
        self.stack.hubspot.set_location(portal, location);
        let lever = ("move-portal", portal);
        match location {
            PortalLocation::Common => self.end(lever, format!("Portal {portal} is back home.")),
            PortalLocation::Migrating => self.begin(lever, format!("Portal {portal} is {label}.")),
            PortalLocation::Hub(hub) => self.begin(lever, format!("Portal {portal} has moved to {hub}.")),
        }
    }

    fn shorten(&self, choice: &Choice<'_>) -> String {
        let (fields, label) = choice.of("fields");
        self.stack.hubspot.set_token_fields(match fields {
            "required" => TokenFields::Required,
            "unknown" => TokenFields::RequiredWithoutIntrospection,
            _ => TokenFields::All,
        });
        let (lever, text) = (("token-answer", 0), format!("Fields of token answers: {label}."));
        if fields == "all" { self.end(lever, text) } else { self.begin(lever, text) }
    }

    fn create_hostile_contact(&self, choice: &Choice<'_>) -> String {
        let long = "a very long name ".repeat(40_000);
        let names = [
            ("firstname", "<img src=x onerror=alert(1)><b>Bold</b>"),
            ("lastname", "evil\u{202e}gpj.exe"),
            ("website", &long),
        ];
        self.stack.hubspot.create_object(choice.portal(), "contacts", &names);
        format!("Portal {} has a hostile contact.", choice.portal())
    }

    fn withdraw(&self, choice: &Choice<'_>) -> String {
        let (contacts, label) = choice.of("contacts");
        let all = ["oauth", "crm.objects.contacts.write", "crm.objects.contacts.read"];
        let granted = if contacts == "all" { &all[..] } else { &all[..2] };
        self.stack.hubspot.set_granted_scopes(choice.portal(), granted);
        format!("Contacts of portal {} are {label}.", choice.portal())
    }

    fn marketplace(&self, choice: &Choice<'_>) -> String {
        format!("{}&sign_in={}", self.stack.marketplace(), choice.of("sign_in").0)
    }

    fn recover(&self) -> String {
        self.stack.hubspot.clear_scripts();
        self.stack.hubspot.set_rate_limit(None);
        self.stack.hubspot.set_rotation(Rotation::Keep);
        self.stack.hubspot.restore_scope_names();
        self.stack.hubspot.set_token_fields(TokenFields::All);
        for portal in PORTALS {
            self.stack.hubspot.set_location(portal, PortalLocation::Common);
        }
        self.active().clear();
        "HubSpot works as it should.".to_owned()
    }
}

/// The account and the parameters, each with its value and its label.
struct Choice<'a> {
    account: &'a str,
    chosen: BTreeMap<&'static str, (&'static str, &'static str)>,
}

impl Choice<'_> {
    fn of(&self, name: &str) -> (&'static str, &'static str) {
        self.chosen.get(name).copied().unwrap_or_default()
    }

    fn portal(&self) -> u64 {
        self.of("hub_id").0.parse().unwrap_or(PORTALS[0])
    }
}

#[cfg(test)]
mod tests;
