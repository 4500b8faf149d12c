//! The ways in which a text can stand somewhere.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A text to search in: as it is, and with every usual escape undone, some layers deep.
pub(super) struct Haystack(Vec<String>);

impl Haystack {
    pub(super) fn new(text: &str) -> Self {
        let mut layers = vec![text.to_owned()];
        for _ in 0..3 {
            for layer in layers.clone() {
                // A plus is a blank in a form, and itself everywhere else.
                let form = unpercented(&layer.replace('+', " "));
                for undone in [unpercented(&layer), form, unescaped(&layer), unentitied(&layer)] {
                    if !layers.contains(&undone) {
                        layers.push(undone);
                    }
                }
            }
        }
        let lower: Vec<String> = layers.iter().map(|layer| layer.to_lowercase()).collect();
        layers.extend(lower);
        layers.sort();
        layers.dedup();
        Self(layers)
    }

    pub(super) fn contains(&self, spelling: &str) -> bool {
        self.0.iter().any(|layer| layer.contains(spelling))
    }
}

/// The secret itself, in lower case (escapes are undone by the haystack), and as base64 at each alignment and as hex.
pub(super) fn spellings(secret: &str) -> Vec<String> {
    let mut all = vec![secret.to_lowercase(), secret.to_owned()];
    for before in 0..3_usize {
        let padded = [vec![0; before], secret.as_bytes().to_vec()].concat();
        // The first and the last characters depend on the neighbours.
        let (from, whole) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            all.push(engine.encode(&padded)[from..whole].to_owned());
        }
    }
    all.push(secret.bytes().map(|byte| format!("{byte:02x}")).collect());
    all.sort();
    all.dedup();
    all
}

fn unpercented(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.strip_prefix('u').and_then(|code| u32::from_str_radix(code.get(..4)?, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                plain.push(character);
                rest = &after[5..];
            }
            None => {
                let mut characters = after.chars();
                match characters.next() {
                    Some('n') => plain.push('\n'),
                    Some('r') => plain.push('\r'),
                    Some('t') => plain.push('\t'),
                    Some(other) => plain.push(other),
                    None => {}
                }
                rest = characters.as_str();
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn unentitied(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
