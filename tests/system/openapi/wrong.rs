//! Invalid answers: each has one error, and the check that finds it refuses it.

use serde_json::{Value, json};

use super::document::Document;
use super::{ObservedCall, check};

/// An answer that can be edited: that of an automation request which was refused for now.
struct Draft {
    path: &'static str,
    request: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Draft {
    fn limited() -> Self {
        let body = Document::get().root["components"]["examples"]["rate_limited"]["value"].clone();
        let after = body["retry_after_seconds"].to_string();
        let headers = [
            ("content-type", "application/problem+json"),
            ("cache-control", "no-store"),
            ("retry-after", after.as_str()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { path: "/v1/automation-requests", request: String::new(), status: 429, headers, body }
    }

    fn check(&self) -> Result<super::AnswerKind, String> {
        check(&ObservedCall {
            method: "POST",
            path: self.path.to_owned(),
            request: self.request.as_bytes(),
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.to_string().as_bytes(),
        })
    }

    /// Another route's success, which lacks its cookie.
    fn start_without_cookie(&mut self) {
        (self.path, self.status) = ("/v1/authorizations", 201);
        self.body = Document::get().root["components"]["schemas"]["AuthorizationStarted"]["examples"][0].clone();
        self.headers.retain(|(name, _)| name != "retry-after");
        self.set("content-type", "application/json");
    }

    fn set(&mut self, header: &str, value: &str) {
        self.headers.retain(|(name, _)| name != header);
        self.headers.push((header.to_owned(), value.to_owned()));
    }
}

/// The error, the edit, and the part that the refusal names.
type Wrong = (&'static str, fn(&mut Draft), &'static str);

/// A few samples: the tests of the answers themselves try the document's rules.
const WRONGS: [Wrong; 5] = [
    ("a further field", |draft| draft.body["cause"] = json!("secret"), "'cause'"),
    ("a status that is not documented", |draft| draft.status = 201, "this status"),
    ("a header that is not documented", |draft| draft.set("set-cookie", "a=1"), "set-cookie is not documented"),
    ("a header that is missing", Draft::start_without_cookie, "set-cookie is missing"),
    ("a request that is invalid", |draft| draft.request = r#"{"querry":1}"#.to_owned(), "the request"),
];

#[test]
fn wrong_answers_are_refused_for_what_is_wrong_with_them() {
    Draft::limited().check().unwrap_or_else(|why| panic!("the right one is refused: {why}"));
    for (what, edit, named) in WRONGS {
        let mut wrong = Draft::limited();
        edit(&mut wrong);
        match wrong.check() {
            Ok(kind) => panic!("{what} passes as {kind:?}"),
            Err(why) => assert!(why.contains(named), "{what} is refused for something else: {why}"),
        }
    }
}
