//! Requests that real automations send go out as written.

use super::*;
use attacks::tally::Tally;

#[test]
fn legitimate_endpoints_are_sent_byte_for_byte() {
    let mut tally = Tally::new("legitimate URLs");
    for endpoint in endpoints::unchanged() {
        for prefix in ["", "https://api.hubapi.com", "https://api-eu1.hubapi.com", "http://api.hubspot.com:80"] {
            for method in ["GET", "POST", "PATCH"] {
                tally.input(&endpoint, || arrives(method, &format!("{prefix}{endpoint}"), &endpoint));
            }
        }
    }
    tally.finish(12 * 300);
}

#[test]
fn what_variables_bring_along_is_encoded_as_every_client_would() {
    for (written, sent) in endpoints::REPAIRED {
        assert_eq!(arrives("GET", written, sent), Ok(()), "{written}");
        assert_eq!(arrives("GET", sent, sent), Ok(()), "{sent}");
    }
}

/// Checks that an endpoint is sent in this form, and that no part of it is taken for a credential.
fn arrives(method: &str, endpoint: &str, as_text: &str) -> Result<(), String> {
    let target = target(method, endpoint).map_err(|error| error.to_string())?;
    let url = target.url().as_str();
    if url == format!("{ORIGIN}{as_text}") && target.ignored().is_empty() {
        return Ok(());
    }
    Err(format!("{url}, without {:?}", target.ignored()))
}

#[test]
fn the_request_of_the_contract_is_sent_without_its_credentials() {
    let body = r#"{ "account_id": "acc_1", "integration_id": "0193-x", "automation_id": "wf_42", "deadline_ms": 5000,
        "request": { "method": "POST", "endpoint": "https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey=old",
          "query": {"archived": "false", "properties": ["email", "phone"]},
          "headers": {"Authorization": "Bearer pat-na1-old", "Content-Type": "application/json"},
          "body": { "limit" : 1.0e2,"limit": 12345678901234567890, "a":"\u00e9\/" } } }"#;

    let request = AutomationRequest::parse(body, &origin()).unwrap();

    assert_eq!(request.account_id.as_str(), "acc_1");
    assert_eq!(request.integration_id.as_ref().unwrap().as_str(), "0193-x");
    assert_eq!((request.automation_id.as_deref(), request.deadline_ms), (Some("wf_42"), Some(5000)));
    let call = &request.call;
    assert_eq!(
        call.target().url().as_str(),
        "https://api.hubapi.com/crm/v3/objects/contacts/search?archived=false&properties=email&properties=phone"
    );
    assert_eq!(call.headers(), [("content-type", "application/json".to_owned())]);
    assert_eq!(call.body().unwrap(), br#"{ "limit" : 1.0e2,"limit": 12345678901234567890, "a":"\u00e9\/" }"#);
    assert_eq!(call.ignored(), ["header:authorization", "query:hapikey"]);
    let printed = format!("{request:?}");
    for planted in ["old", "pat-", "email", "limit", "contacts"] {
        assert!(!printed.contains(planted), "{printed}");
    }
}
