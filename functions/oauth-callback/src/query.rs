//! The query of HubSpot's callback, parsed once. Ambiguous queries are refused, and nothing of a query is ever logged.

use url::form_urlencoded;

/// The parameters with which HubSpot sends the browser to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallbackQuery {
    /// The end of an authorization.
    Ended(AuthorizationResponse),
    /// An installation begins at HubSpot (`step=authorize`), which expects the browser back at `return_url`.
    InstallationStarted { return_url: Option<String> },
    /// HubSpot made an authorization of its own: our state is missing.
    InstallationWithoutState,
}

/// HubSpot's response to an authorization request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AuthorizationResponse {
    pub(crate) state: String,
    pub(crate) consent: Consent,
    /// Where HubSpot expects the browser in the end, if the installation began there.
    pub(crate) return_url: Option<String>,
}

/// The person's decision.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Consent {
    Granted { code: String },
    Refused { reason: String },
}

impl CallbackQuery {
    /// Parses a query; the error says for the log which kind of parameters is wrong.
    ///
    /// Parameters that are doubled, empty or of two different kinds of callback are ambiguous.
    pub(crate) fn parse(query: &str) -> Result<Self, &'static str> {
        let code = one(query, "code")?;
        let error = one(query, "error")?;
        let state = one(query, "state")?;
        let step = one(query, "step")?;
        let return_url = one(query, "returnUrl")?;
        if step.as_deref() == Some("authorize") {
            return match (code, error, state) {
                (None, None, None) => Ok(Self::InstallationStarted { return_url }),
                _ => Err("parameters of two kinds of callback"),
            };
        }
        if step.is_some_and(|step| step != "finalize") {
            return Err("unknown step");
        }
        let consent = match (code, error) {
            (Some(code), None) => Consent::Granted { code },
            (None, Some(reason)) => Consent::Refused { reason },
            (None, None) => return Err("neither code nor error"),
            (Some(_), Some(_)) => return Err("both code and error"),
        };
        match (state, &consent) {
            (Some(state), _) => Ok(Self::Ended(AuthorizationResponse { state, consent, return_url })),
            (None, Consent::Granted { .. }) => Ok(Self::InstallationWithoutState),
            (None, Consent::Refused { .. }) => Err("error without state"),
        }
    }
}

/// A parameter that is given at most once and not empty.
fn one(query: &str, name: &str) -> Result<Option<String>, &'static str> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err("doubled parameter"),
        (Some((_, value)), None) if value.is_empty() => Err("empty parameter"),
        (Some((_, value)), None) => Ok(Some(value.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_missing_or_empty_parameters_do_not_parse() {
        for bad in [
            "",
            "state=1",
            "code=&state=1",
            "code=1&state=",
            "code=1&code=2&state=1",
            "code=1&state=1&state=2",
            "code=1&state=1&error=access_denied",
            "error=access_denied",
            "error=a&error=b&state=1",
            "%63ode=1&code=2&state=1",
            "code=1&code=2",
            "code=1&step=",
            "code=1&state=1&step=finalise",
            "code=1&state=1&step=finalize&step=finalize",
            "code=1&state=1&returnUrl=a&returnUrl=b",
            "step=finalize",
            "step=finalize&state=1&returnUrl=https://app.hubspot.com/",
            "step=authorize&code=1",
            "step=authorize&code=1&state=1",
            "step=authorize&state=1&returnUrl=https://app.hubspot.com/",
            "step=authorize&error=access_denied",
            "step=Authorize",
        ] {
            assert!(CallbackQuery::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_kind_of_callback_parses_with_its_values_decoded() {
        let ended = |consent, return_url: Option<&str>| {
            let return_url = return_url.map(str::to_owned);
            Ok(CallbackQuery::Ended(AuthorizationResponse { state: "c".to_owned(), consent, return_url }))
        };
        let granted = || Consent::Granted { code: "a+b".to_owned() };
        let refused = Consent::Refused { reason: "access_denied".to_owned() };

        assert_eq!(CallbackQuery::parse("code=a%2Bb&state=c&extra=1"), ended(granted(), None));
        assert_eq!(CallbackQuery::parse("error=access_denied&state=c&error_description=no"), ended(refused, None));
        assert_eq!(
            CallbackQuery::parse(
                "step=finalize&code=a%2Bb&state=c&returnUrl=https%3A%2F%2Fapp.hubspot.com%2Fx%3Fy%3D1"
            ),
            ended(granted(), Some("https://app.hubspot.com/x?y=1"))
        );
        assert_eq!(
            CallbackQuery::parse("code=1&returnUrl=https://app.hubspot.com/"),
            Ok(CallbackQuery::InstallationWithoutState)
        );
        assert_eq!(
            CallbackQuery::parse("step=authorize&returnUrl=x"),
            Ok(CallbackQuery::InstallationStarted { return_url: Some("x".to_owned()) })
        );
    }
}
