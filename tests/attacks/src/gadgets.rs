//! Headers that are meant to become more than one, or another one, or a second request.

use crate::foreign;

/// Characters that some reader takes for the end of a line, a value or a name, or cuts down to one that is.
const CHARACTERS: [&str; 22] = [
    "\r", "\n", "\r\n", "\n\r", "\r\n\r\n", "\0", "\t", "\u{b}", "\u{c}", "\u{1b}", "\u{7f}", "\u{85}", "\u{a0}",
    // Their low byte is a line feed, a carriage return, a NUL or a colon.
    "\u{10a}", "\u{10d}", "\u{100}", "\u{13a}", "\u{2028}", "\u{2029}", "\u{feff}", " ", ":",
];

/// Header lines, name and value in one, of smuggling tools.
pub fn lines() -> Vec<String> {
    let mut all = foreign::texts("te_mutations.json");
    for name in ["Transfer-Encoding", "Content-Length", "Accept", "Authorization", "If-Match", "Host"] {
        for c in CHARACTERS {
            all.extend([
                format!("{c}{name}: chunked"),
                format!("{name}{c}: chunked"),
                format!("{name}:{c}chunked"),
                format!("{name}: chun{c}ked"),
                format!("{name}: chunked{c}"),
                format!("X: y{c}{name}: chunked"),
                format!("{name}: x{c}Authorization: Bearer s3cret"),
                format!("{name}: 0{c}{c}GET /smuggled HTTP/1.1{c}Host: x{c}{c}"),
            ]);
        }
    }
    all
}

/// Names of headers, most of them unknown to the guard.
pub fn names() -> Vec<String> {
    let mut all = foreign::texts("header-names.txt");
    let own = [
        "Accept",
        "Accept-Language",
        "Content-Type",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Range",
        "Accept-Encoding",
        "Content-Encoding",
        "User-Agent",
        "Referer",
        "Origin",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "Forwarded",
        "X-HubSpot-Portal-Id",
        "private-app",
        "private-app-legacy",
        "hapikey",
        ":path",
        ":authority",
        "",
        " ",
        "ａccept",
        "аccept",
        "accept\u{200b}",
        "accept_language",
        "Accept-Lan\u{212a}uage",
        "authoriza\u{17f}ion",
    ];
    all.extend(own.map(str::to_owned));
    all.sort_by_key(|name| name.to_lowercase());
    all.dedup_by_key(|name| name.to_lowercase());
    all
}
