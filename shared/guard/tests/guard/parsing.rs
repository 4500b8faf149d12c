//! The fields of a request: query, headers, bodies, and everything beside them.

use super::*;

fn detail(request: &Value) -> String {
    match call(request) {
        Err(Refusal::InvalidRequest(detail)) => detail,
        other => panic!("{request} gave {other:?}"),
    }
}

/// A request with further fields.
fn with(more: Value) -> Value {
    let mut request = json!({"method": "POST", "endpoint": "/crm"});
    let Value::Object(more) = more else { panic!("an object is needed") };
    request.as_object_mut().unwrap().extend(more);
    request
}

#[test]
fn query_is_appended_in_order_and_encoded() {
    for (endpoint, query, sent) in [
        ("/crm", json!({"a": "x y", "b": [1, true, "ü&="]}), "/crm?a=x%20y&b=1&b=true&b=%C3%BC%26%3D"),
        ("/crm?z=1&z=2", json!([["a", "1"], ["a", 2], ["p", "email,phone"]]), "/crm?z=1&z=2&a=1&a=2&p=email,phone"),
        ("/crm?", json!({"a[]": "+%2B"}), "/crm?a%5B%5D=%2B%252B"),
        ("/crm", json!({"after": "NTI1Cg=="}), "/crm?after=NTI1Cg%3D%3D"),
        ("/crm?x=1", json!({}), "/crm?x=1"),
        ("/crm", json!({"a": []}), "/crm"),
        ("/crm", json!(null), "/crm"),
        ("/crm", json!({"#a": "\r\n"}), "/crm?%23a=%0D%0A"),
        ("/crm", json!({"a&hapikey": "x"}), "/crm?a%26hapikey=x"),
        ("/crm?hapikey=1", json!({"HapiKey ": "x"}), "/crm"),
    ] {
        let request = json!({"method": "GET", "endpoint": endpoint, "query": query});

        assert_eq!(accepted(&request).target().url().as_str(), format!("{ORIGIN}{sent}"));
    }
}

#[test]
fn numbers_keep_their_digits() {
    let body = r#"{"account_id":"a","request":{"method":"GET","endpoint":"/crm","query":{"a":12345678901234567890,"b":1.0e2,"b2":-0}}}"#;

    let request = AutomationRequest::parse(body, &origin()).unwrap();

    assert_eq!(request.call.target().url().query(), Some("a=12345678901234567890&b=1.0e2&b2=-0"));
}

#[test]
fn query_and_headers_of_another_shape_are_refused_without_their_values() {
    for query in [
        json!("s3cret"),
        json!(1),
        json!([["s3cret"]]),
        json!([["a", "b", "s3cret"]]),
        json!([[1, "s3cret"]]),
        json!({"a": null}),
        json!({"a": {"s3cret": 1}}),
        json!({"a": [["s3cret"]]}),
        json!({"a": [null]}),
        json!(["s3cret"]),
    ] {
        let detail = detail(&with(json!({ "query": query })));
        assert!(detail.starts_with("request.query: ") && !detail.contains("s3cret"), "{detail}");
    }
    for headers in [
        json!("s3cret"),
        json!([["accept"]]),
        json!(["s3cret"]),
        json!([[null, "s3cret"]]),
        json!({"accept": null}),
        json!({"Accept": ["s3cret"]}),
        json!({"accept": {"s3cret": 1}}),
        json!({"accept": "s3cret\r\nX: y"}),
        json!({"accept": "s3cret\t"}),
        json!({"accept": "s3cret\u{0}"}),
        json!({"if-match": "s3cretü"}),
        json!({"accept": "a", "Accept": "s3cret"}),
        json!([["accept", "a"], ["ACCEPT", "s3cret"]]),
    ] {
        let detail = detail(&with(json!({ "headers": headers })));
        assert!(detail.starts_with("request.headers") && !detail.contains("s3cret"), "{detail}");
    }
}

#[test]
fn headers_off_the_allow_list_are_dropped_unparsed_and_credentials_named() {
    let body = r#"{"account_id":"a","request":{"method":"GET","endpoint":"/crm?x","headers":{
        "Authorization": ["x", {}], "authorization": null, "X-Foo": {"a": 1}, "X-Foo": "b", "Cookie": "a=b", "Private-App": 1,
        "Transfer-Encoding": "chunked", "Content-Length": "7", "Host": "evil", "Content-Type\r\nX": "y", "Accept\r\n": "no",
        "Accept": "text/*", "Accept-Language": "de", "If-Match": " !~7", "If-None-Match": true, "IF-MODIFIED-SINCE": ""}}}"#;

    let call = AutomationRequest::parse(body, &origin()).unwrap().call;

    let sent: Vec<(&str, &str)> = call.headers().iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        sent,
        [
            ("accept", "text/*"),
            ("accept-language", "de"),
            ("if-match", " !~7"),
            ("if-none-match", "true"),
            ("if-modified-since", "")
        ]
    );
    assert_eq!(call.ignored(), ["header:authorization", "header:cookie", "header:private-app"]);
    assert_eq!(call.body(), None);
}

#[test]
fn bodies_go_out_as_they_came_with_a_content_type() {
    for (fields, body, content_type) in [
        (json!({"body": {"a": 1}}), Some(r#"{"a":1}"#), Some("application/json")),
        (json!({"body": "text"}), Some("\"text\""), Some("application/json")),
        (json!({"body": null}), Some("null"), Some("application/json")),
        (json!({"body_text": "hapikey=x"}), Some("hapikey=x"), Some("application/json")),
        (json!({"body_text": ""}), Some(""), Some("application/json")),
        (json!({"body_text": "a", "headers": {"content-type": "text/plain"}}), Some("a"), Some("text/plain")),
        (json!({"body_text": "a", "headers": {"content-type": " "}}), Some("a"), Some("application/json")),
        (json!({"body_base64": "aGk="}), Some("hi"), Some("application/octet-stream")),
        (json!({"body_base64": null, "body_text": null}), None, None),
        (json!({"headers": {"content-type": "application/json"}}), None, Some("application/json")),
        (
            json!({"body": {"hapikey": "x"}, "headers": {"Content-Type": "application/json"}}),
            Some(r#"{"hapikey":"x"}"#),
            Some("application/json"),
        ),
    ] {
        let call = accepted(&with(fields.clone()));

        assert_eq!(call.body(), body.map(str::as_bytes), "{fields}");
        assert_eq!(
            call.headers().first().map(|(name, value)| (*name, value.as_str())),
            content_type.map(|t| ("content-type", t)),
            "{fields}"
        );
    }
}

#[test]
fn two_bodies_and_bad_base64_are_refused() {
    for fields in [
        json!({"body": 1, "body_text": "x"}),
        json!({"body_text": "x", "body_base64": "aGk="}),
        json!({"body": null, "body_base64": "aGk="}),
        json!({"body_base64": "aGk"}),
        json!({"body_base64": "a Gk="}),
        json!({"body_base64": "aGl="}),
        json!({"body_base64": "_-8="}),
        json!({"body_base64": 1}),
        json!({"body_text": 1}),
        json!({"body_text": ["x"]}),
    ] {
        assert!(detail(&with(fields.clone())).starts_with("request"), "{fields}");
    }
}

#[test]
fn the_content_type_that_is_sent_decides_whether_a_body_is_a_form() {
    for content_type in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded ; charset=\"UTF-8\"",
        " application/x-www-form-urlencoded;a=b",
    ] {
        for body in [json!({"body_text": "a=1&hapikey=x"}), json!({"body_base64": "YT0xJmhhcGlrZXk9eA=="})] {
            let mut request = with(body);
            request["headers"] = json!([["Content-Type", content_type]]);
            let call = accepted(&request);

            assert_eq!(call.body().unwrap(), b"a=1", "{content_type}");
            assert_eq!(call.ignored(), ["form:hapikey"]);
        }
        let json = accepted(&with(json!({"body": {"a": "&hapikey=1&b"}, "headers": {"content-type": content_type}})));
        assert_eq!(json.body().unwrap(), br#"{"a":"&b"}"#);
    }
    let untouched = accepted(&with(json!({"body_text": "hapikey=x", "headers": {"content-type": "text/plain"}})));
    assert_eq!(untouched.body().unwrap(), b"hapikey=x");
}

#[test]
fn a_form_that_servers_might_read_differently_is_refused() {
    for content_type in [
        "application/x-www-form-urlencoded;charset=utf-16",
        "application/x-www-form-urlencoded; charset",
        "application/x-www-form-urlencoded; charset*=utf-8''utf-16",
        "application/x-www-form-urlencoded;charset=utf-8;charset=utf-7",
        "application/json, application/x-www-form-urlencoded",
        "application/json; x=application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded, text/plain",
    ] {
        let request = with(json!({"body_text": "a=1", "headers": {"content-type": content_type}}));
        assert!(detail(&request).starts_with("request.headers.content-type: "), "{content_type}");
    }
}

#[test]
fn ignored_credentials_are_named_once_in_one_order() {
    let call = accepted(&json!({
        "method": "POST", "endpoint": "https://u:p@api.hubapi.com/crm?HAPIKEY=1&access_token=2&hapikey=3",
        "headers": {"content-type": "application/x-www-form-urlencoded", "private-app": "x", "AUTHORIZATION": "y"},
        "body_text": "refresh_token=1",
    }));

    assert_eq!(
        call.ignored(),
        [
            "header:authorization",
            "header:private-app",
            "query:hapikey",
            "query:access_token",
            "form:refresh_token",
            "userinfo"
        ]
    );
    assert_eq!(call.body().unwrap(), b"");
}

#[test]
fn a_body_with_missing_unknown_or_malformed_fields_is_refused_by_name() {
    let request = r#""request":{"method":"GET","endpoint":"/crm"}"#;
    for (body, named) in [
        ("", "body"),
        ("[]", "body"),
        (&format!("{{{request}}}"), "account_id"),
        (r#"{"account_id":"a"}"#, "request"),
        (r#"{"account_id":"a","request":null}"#, "request"),
        (r#"{"account_id":"a","request":[]}"#, "request"),
        (&format!(r#"{{"account_id":"a b",{request}}}"#), "account_id"),
        (&format!(r#"{{"account_id":-7,{request}}}"#), "account_id"),
        (&format!(r#"{{"account_id":7.0,{request}}}"#), "account_id"),
        (&format!(r#"{{"account_id":1e3,{request}}}"#), "account_id"),
        (&format!(r#"{{"account_id":true,{request}}}"#), "account_id"),
        (&format!(r#"{{"account_id":"a","integration_id":"a b",{request}}}"#), "integration_id"),
        (&format!(r#"{{"account_id":"a","automation_id":"{}",{request}}}"#, "x".repeat(129)), "automation_id"),
        (&format!(r#"{{"account_id":"a","automation_id":"\n",{request}}}"#), "automation_id"),
        (&format!(r#"{{"account_id":"a","deadline_ms":999,{request}}}"#), "deadline_ms"),
        (&format!(r#"{{"account_id":"a","deadline_ms":25001,{request}}}"#), "deadline_ms"),
        (&format!(r#"{{"account_id":"a","deadline_ms":"5000",{request}}}"#), "deadline_ms"),
        (&format!(r#"{{"account_id":"a","idempotency_key":"",{request}}}"#), "idempotency_key"),
        (&format!(r#"{{"account_id":"a","idempotency_key":"{}",{request}}}"#, "x".repeat(129)), "idempotency_key"),
        (&format!(r#"{{"account_id":"a","idempotency_key":"a\tb",{request}}}"#), "idempotency_key"),
        (&format!(r#"{{"account_id":"a","typo":1,{request}}}"#), "typo"),
        (&format!(r#"{{"account_id":"a",{request},{request}}}"#), "request"),
        (r#"{"account_id":"a","request":{"endpoint":"/crm"}}"#, "request.method"),
        (r#"{"account_id":"a","request":{"method":"GET"}}"#, "request.endpoint"),
        (r#"{"account_id":"a","request":{"method":1,"endpoint":"/crm"}}"#, "request.method"),
        (r#"{"account_id":"a","request":{"method":"GET","endpoint":["/crm"]}}"#, "request.endpoint"),
        (r#"{"account_id":"a","request":{"method":"GET","endpoint":"/crm","qeury":{}}}"#, "qeury"),
    ] {
        match AutomationRequest::parse(body, &origin()) {
            Err(Refusal::InvalidRequest(detail)) => assert!(detail.contains(named), "{body}: {detail}"),
            other => panic!("{body} gave {other:?}"),
        }
    }
    let large = format!(
        r#"{{"account_id":"a","request":{{"method":"POST","endpoint":"/","body_text":"{}"}}}}"#,
        "x".repeat(1 << 20)
    );
    assert_eq!(code(&AutomationRequest::parse(&large, &origin()).unwrap_err()), "request_too_large");
}

#[test]
fn the_limits_themselves_are_accepted() {
    for (automation_id, deadline_ms, key) in
        [("ü".repeat(128), 1_000, Some("ü ~".repeat(42))), (String::new(), 25_000, None)]
    {
        let body = json!({"account_id": "a", "automation_id": automation_id, "deadline_ms": deadline_ms,
            "idempotency_key": key, "request": {"method": "GET", "endpoint": "/crm"}});

        let request = AutomationRequest::parse(&body.to_string(), &origin()).unwrap();

        assert_eq!((request.automation_id, request.deadline_ms), (Some(automation_id), Some(deadline_ms)));
        assert_eq!(request.idempotency_key, key);
    }
}

#[test]
fn a_check_is_parsed_like_an_execution() {
    use guard::request::Check;

    let check =
        Check::parse(r#"{"integration_id":"i1","request":{"method":"get","endpoint":"/crm?hapikey=x"}}"#, &origin())
            .unwrap();

    assert_eq!(check.integration_id.unwrap().as_str(), "i1");
    assert_eq!(check.call.ignored(), ["query:hapikey"]);
    for (body, expected) in [
        (r#"{"request":{"method":"get","endpoint":"https://evil.com/"}}"#, "endpoint_not_allowed"),
        (r#"{"account_id":"a","request":{"method":"get","endpoint":"/crm"}}"#, "invalid_request"),
        (r#"{"integration_id":"i1"}"#, "invalid_request"),
    ] {
        assert_eq!(code(&Check::parse(body, &origin()).unwrap_err()), expected, "{body}");
    }
}

#[test]
fn requests_are_identified_by_what_would_be_sent() {
    let identity = |text: &str| AutomationRequest::parse(text, &origin()).unwrap().identity();
    let first = r#"{"account_id":"a","integration_id":"i","request":{"method":"POST","endpoint":"/crm?a=1",
        "headers":{"Accept":"x","If-Match":"y"},"body":{"b":1,"c":"é"}}}"#;

    for same in [
        first.replace("/crm?a=1", "https://api.hubapi.com/crm?a=1&hapikey=k"),
        first.replace(r#""Accept":"x","If-Match":"y""#, r#""if-match":"y","Cookie":"z","accept":"x""#),
        first.replace("POST", "post").replace(r#""account_id":"a""#, r#""account_id":"b","deadline_ms":2000"#),
        first.replace(r#""integration_id":"i","#, ""),
        first.replace(r#""integration_id":"i","#, r#""integration_id":"j","#),
        first.replace(r#"{"b":1,"c":"é"}"#, r#"{"c": "\u00e9",  "b": 1}"#),
        first.replace(r#""body":{"b":1,"c":"é"}"#, r#""body_text":"{\"c\":\"é\",\"b\":1}""#),
    ] {
        assert_eq!(identity(&same), identity(first), "{same}");
    }
    for other in [
        first.replace("POST", "PUT"),
        first.replace("a=1", "a=2"),
        first.replace(r#""x""#, r#""z""#),
        first.replace("If-Match", "If-None-Match"),
        first.replace(r#""b":1"#, r#""b":1.0"#),
        first.replace(r#""b":1"#, r#""b":"1""#),
        first.replace(r#","body":{"b":1,"c":"é"}"#, ""),
        first.replace(r#""body":{"b":1,"c":"é"}"#, r#""body":null"#),
    ] {
        assert_ne!(identity(&other), identity(first), "{other}");
    }
    // Another content type than JSON: every byte counts.
    let text = first.replace(r#""Accept":"x""#, r#""Content-Type":"text/plain""#);
    assert_ne!(identity(&text.replace(r#"{"b":1,"#, r#"{"b": 1,"#)), identity(&text));
    let vendor = first.replace(r#""Accept":"x""#, r#""Content-Type":"application/vnd.x+JSON; charset=utf-8""#);
    assert_eq!(identity(&vendor.replace(r#"{"b":1,"#, r#"{"b": 1,"#)), identity(&vendor));
}

#[test]
fn a_body_gets_its_content_type_only_where_none_is_given_whatever_else_is() {
    for (headers, expected) in [
        (json!({}), vec![("content-type", "application/json")]),
        (json!({"Accept": "x"}), vec![("accept", "x"), ("content-type", "application/json")]),
        (json!({"Content-Type": "text/plain"}), vec![("content-type", "text/plain")]),
    ] {
        let call = accepted(&with(json!({"headers": headers, "body_text": "a"})));

        let sent: Vec<(&str, &str)> = call.headers().iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(sent, expected, "{headers}");
    }
}

#[test]
fn a_request_of_exactly_one_mebibyte_is_accepted() {
    let of = |filler: usize| {
        let filler = "x".repeat(filler);
        format!(r#"{{"account_id":"a","request":{{"method":"POST","endpoint":"/crm","body_text":"{filler}"}}}}"#)
    };
    let around = of(0).len();

    assert!(AutomationRequest::parse(&of(1_048_576 - around), &origin()).is_ok());
    assert_eq!(code(&AutomationRequest::parse(&of(1_048_577 - around), &origin()).unwrap_err()), "request_too_large");
}

#[test]
fn a_whole_number_is_an_account_id_by_its_digits() {
    for digits in ["7", "0", "12345678901234567890"] {
        let body = format!(r#"{{"account_id":{digits},"request":{{"method":"GET","endpoint":"/crm"}}}}"#);

        assert_eq!(AutomationRequest::parse(&body, &origin()).unwrap().account_id.as_str(), digits);
    }
}

#[test]
fn pasted_header_names_and_doubled_content_types_are_repaired() {
    for (headers, sent) in [
        (json!({"Accept ": "a"}), vec![("accept", "a")]),
        (json!({" If-Match:": "b"}), vec![("if-match", "b")]),
        (json!({"Authorization:": "s3cret"}), vec![]),
        (
            json!([["Content-Type", "text/plain"], ["content-type", " text/plain"]]),
            vec![("content-type", "text/plain")],
        ),
    ] {
        let call = accepted(&json!({"method": "GET", "endpoint": "/crm", "headers": headers}));

        let names: Vec<(&str, &str)> = call.headers().iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(names, sent, "{headers}");
    }
    for headers in [
        json!([["Content-Type", "text/plain"], ["content-type", "application/json"]]),
        json!([["Accept", "a"], ["accept", "a"]]),
        json!([["Accept", "a"], ["accept:", "b"]]),
    ] {
        assert!(detail(&with(json!({"headers": headers}))).contains("given twice"), "{headers}");
    }
}
