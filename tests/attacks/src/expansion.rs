//! Bodies that make a parser work hard or grow, whichever field carries them.

/// An automation request with `FILL` in each place where a customer's or an engine's text may stand.
pub const PLACES: [&str; 16] = [
    r#"FILL"#,
    r#"{"account_id":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","integration_id":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","automation_id":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","deadline_ms":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","idempotency_key":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","unknown":FILL,"request":{"method":"POST","endpoint":"/crm"}}"#,
    r#"{"account_id":"a","request":FILL}"#,
    r#"{"account_id":"a","request":{"method":FILL,"endpoint":"/crm"}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":FILL}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","query":FILL}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","headers":FILL}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","headers":{"Content-Type":FILL},"body_text":""}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","body":FILL}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","body_text":FILL,"headers":{"content-type":"application/x-www-form-urlencoded"}}}"#,
    r#"{"account_id":"a","request":{"method":"POST","endpoint":"/crm","body_base64":FILL}}"#,
];

/// Values of about `size` bytes that make one of the guard's steps work hard.
#[must_use]
pub fn fills(size: usize) -> Vec<(&'static str, String)> {
    let filled = |unit: &str| unit.repeat(size / unit.len());
    let text = |unit: &str| format!("\"/{}\"", filled(unit));
    let list = |unit: &str| format!("[{}0]", filled(unit));
    let pairs = |unit: &str| format!("[{}[\"a\",1]]", filled(unit));
    let members: String = (0..size / 10).map(|number| format!("\"{number:05}\":1,")).collect();
    let (half, third) = (size / 2, size / 3);
    vec![
        ("a long text", text("a")),
        ("a text of two-byte characters", text("ü")),
        ("an escaped text", text("\\u00e9")),
        ("a fullwidth text", text("％")),
        ("a text to encode", text(" ")),
        ("nested escapes", format!("\"/%{}\"", filled("25"))),
        ("segments", text("a/")),
        ("credentials", text("hapikey&")),
        ("empty parts", text("&")),
        ("digits", format!("1{}", filled("0"))),
        ("a query", format!("\"/crm?{}\"", filled("a=%zz&"))),
        ("a fragment", format!("\"/crm#{}\"", filled("a"))),
        ("a list of numbers", list("1,")),
        ("a list of texts", list("\"\",")),
        ("nested lists", format!("{}{}", "[".repeat(half), "]".repeat(half))),
        ("nested objects", format!("{}1{}", "{\"\":".repeat(size / 5), "}".repeat(size / 5))),
        ("a list of pairs", pairs("[\"\",1],")),
        ("pairs of credentials", pairs("[\"cookie\",1],")),
        ("an allowed name", pairs("[\"accept\",1],")),
        ("members", format!("{{{members}\"a\":1}}")),
        ("equal members", format!("{{{}\"a\":1}}", filled("\"cookie\":1,"))),
        ("a name for many values", format!("{{\"{}\":[{}1]}}", "n".repeat(third), "1,".repeat(third))),
        ("a short name for many values", format!("{{\"nnnnnnnn\":[{}1]}}", filled("1,"))),
        ("a long name", format!("{{\"{}\":1}}", filled("n"))),
        ("a name of nested escapes", format!("{{\"%{}\":1}}", filled("25"))),
        ("a name of two-byte characters", format!("{{\"{}\":1}}", filled("ü"))),
        ("blanks", format!("{}1", filled(" "))),
        ("no JSON", filled("x")),
    ]
}
