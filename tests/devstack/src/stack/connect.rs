//! The browser's part of connecting: the steps that a person takes, over HTTP.

use serde_json::{Value, json};
use url::Url;

use super::Stack;

/// An authorization that a browser has started.
#[derive(Clone, Debug)]
pub struct StartedAuthorization {
    /// Where the browser goes to.
    pub authorize_url: String,
    /// The cookie that binds it to this browser, as the browser sends it back.
    pub cookie: String,
}

/// How an authorization ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The outcome, the last part of the result page's address.
    pub outcome: String,
    /// The account's newest integration afterwards, if it has one.
    pub integration_id: Option<String>,
}

impl Stack {
    /// Begins an authorization as an admin of an account: the dashboard's call, and the cookie that it leaves.
    ///
    /// # Errors
    /// The API refuses; the text is its answer.
    pub async fn authorize(&self, account: &str, user: &str, body: &Value) -> Result<StartedAuthorization, String> {
        let token = self.jwt(account, user, "admin");
        let answer = self.call_as(&token, "POST", "/v1/authorizations", body.to_string()).await;
        if answer.status != 201 {
            return Err(format!("POST /v1/authorizations: {} {}", answer.status, answer.text()));
        }
        let authorize_url = answer.json()["authorize_url"].as_str().ok_or("no authorize_url")?.to_owned();
        let cookie = answer.header("set-cookie").and_then(|line| line.split(';').next()).ok_or("no cookie is set")?;
        Ok(StartedAuthorization { authorize_url, cookie: cookie.to_owned() })
    }

    /// Accepts on HubSpot's consent page, for the emulator's first portal; where HubSpot sends the browser to.
    ///
    /// # Errors
    /// The consent page refuses.
    pub async fn consent(&self, authorization: &StartedAuthorization) -> Result<String, String> {
        self.decide(authorization, &[("decision", "accept")]).await
    }

    /// Accepts for one portal; where HubSpot sends the browser to.
    ///
    /// # Errors
    /// The consent page refuses.
    pub async fn consent_for(&self, authorization: &StartedAuthorization, hub_id: u64) -> Result<String, String> {
        self.decide(authorization, &[("decision", "accept"), ("hub_id", &hub_id.to_string())]).await
    }

    /// Declines; where HubSpot sends the browser to.
    ///
    /// # Errors
    /// The consent page refuses.
    pub async fn decline(&self, authorization: &StartedAuthorization) -> Result<String, String> {
        self.decide(authorization, &[("decision", "decline")]).await
    }

    /// Where a person in HubSpot's marketplace clicks *Install*.
    #[must_use]
    pub fn marketplace(&self) -> String {
        let environment = self.environment("oauth-callback");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.hubspot.client_id())
            .append_pair("redirect_uri", &format!("{}/oauth/hubspot/callback", self.public_url()))
            .append_pair("scope", environment.get("HUBSPOT_SCOPES").map_or("", String::as_str))
            .finish();
        format!("{}/marketplace/install?{query}", self.hubspot.url())
    }

    /// Accepts on HubSpot's consent page at some address; where HubSpot sends the browser to.
    ///
    /// # Errors
    /// The consent page refuses.
    pub async fn accept_at(&self, consent_page: &str) -> Result<String, String> {
        self.decide_at(consent_page, &[("decision", "accept")]).await
    }

    /// Opens an address as a browser does that follows no redirect; where it is sent to.
    ///
    /// # Errors
    /// There is no answer, or it is no redirect.
    pub async fn open(&self, address: &str) -> Result<String, String> {
        let answer = self.client.get(address).send().await.map_err(|error| error.to_string())?;
        let location = answer.headers().get("location").and_then(|location| location.to_str().ok());
        location.map(str::to_owned).ok_or(format!("{address}: {}", answer.status()))
    }

    async fn decide(&self, authorization: &StartedAuthorization, decision: &[(&str, &str)]) -> Result<String, String> {
        self.decide_at(&authorization.authorize_url, decision).await
    }

    /// Opens the consent page and sends its form: the hidden fields, and what the person decided.
    async fn decide_at(&self, consent_page: &str, decision: &[(&str, &str)]) -> Result<String, String> {
        let failed = |error: reqwest::Error| format!("HubSpot's consent page: {error}");
        let page = self.client.get(consent_page).send().await.map_err(failed)?;
        let (status, text) = (page.status(), page.text().await.map_err(failed)?);
        if !status.is_success() {
            return Err(format!("HubSpot's consent page: {status} {text}"));
        }
        let url = Url::parse(consent_page).map_err(|error| error.to_string())?;
        let action = url.join("/oauth/authorize/decision").map_err(|error| error.to_string())?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(hidden_fields(&text)).extend_pairs(decision);
        let request = self.client.post(action).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form.finish()).send().await.map_err(failed)?;
        let location = answer.headers().get("location").and_then(|location| location.to_str().ok()).map(str::to_owned);
        match location {
            Some(location) => Ok(location),
            None => Err(format!("HubSpot's consent page: {}", answer.text().await.map_err(failed)?)),
        }
    }

    /// Follows HubSpot's redirect with the browser's cookie; the outcome.
    ///
    /// # Errors
    /// The callback does not answer with the redirect to a result.
    pub async fn finish(&self, callback: &str, cookie: Option<&str>) -> Result<String, String> {
        let path = callback.strip_prefix(self.public_url()).ok_or(format!("HubSpot redirects to {callback}"))?;
        let headers: Vec<(&str, &str)> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        let answer = self.call("GET", path, &headers, "").await;
        let location = answer.header("location").filter(|_| answer.status == 303);
        let location = location.ok_or(format!("the callback answers {} {}", answer.status, answer.text()))?;
        let url =
            Url::parse(self.public_url()).and_then(|base| base.join(location)).map_err(|error| error.to_string())?;
        let from_query = url.query_pairs().find(|(name, _)| name == "hubspot").map(|(_, outcome)| outcome.into_owned());
        let from_path = url.path_segments().and_then(|mut segments| segments.next_back()).map(str::to_owned);
        from_query.or(from_path).ok_or(format!("the callback redirects to {location}"))
    }

    /// All of a browser's steps, whatever comes of them.
    ///
    /// # Errors
    /// One of the steps is refused.
    pub async fn connect_with(&self, account: &str, user: &str, body: &Value) -> Result<Connected, String> {
        let authorization = self.authorize(account, user, body).await?;
        let callback = self.consent(&authorization).await?;
        let outcome = self.finish(&callback, Some(&authorization.cookie)).await?;
        let integrations = self.integrations(account, user).await;
        let newest = integrations.first().and_then(|newest| newest["integration_id"].as_str());
        Ok(Connected { outcome, integration_id: newest.map(str::to_owned) })
    }

    /// Connects an account; the id of its integration.
    ///
    /// # Panics
    /// It does not end as `connected`.
    pub async fn connect(&self, account: &str, user: &str) -> String {
        self.connected(account, user, &json!({})).await
    }

    /// Makes a new instance of an account's integration; its id.
    ///
    /// # Panics
    /// It does not end as `connected`.
    pub async fn connect_new_instance(&self, account: &str, user: &str) -> String {
        self.connected(account, user, &json!({ "new_instance": true })).await
    }

    async fn connected(&self, account: &str, user: &str, body: &Value) -> String {
        let connected = self.connect_with(account, user, body).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(connected.outcome, "connected", "{:#?}", self.lambda.logs().lines());
        connected.integration_id.expect("a connected account has an integration")
    }

    /// The account's integrations, newest first, as the dashboard lists them.
    pub async fn integrations(&self, account: &str, user: &str) -> Vec<Value> {
        let token = self.jwt(account, user, "admin");
        let answer = self.call_as(&token, "GET", "/v1/integrations", "").await.json();
        answer["integrations"].as_array().cloned().unwrap_or_default()
    }
}

/// The hidden fields of a form.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let attribute = |tag: &str, name: &str| {
        let value = tag.split_once(&format!("{name}=\""))?.1.split_once('"')?.0;
        let value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        Some(value.replace("&amp;", "&"))
    };
    let fields = page.split("<input type=\"hidden\"").skip(1);
    fields.filter_map(|tag| Some((attribute(tag, " name")?, attribute(tag, " value")?))).collect()
}
