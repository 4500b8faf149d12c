//! Random values from the operating system, and hashes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

use crate::error::Error;

/// 256 random bits as text that fits a URL and a cookie (43 characters): nobody guesses it.
pub fn secret() -> Result<String, Error> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::internal("the system gives no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A part of `whole` between nothing and all of it, for spreading what must not happen at once.
pub fn jitter(whole: i64) -> i64 {
    let mut bytes = [0; 4];
    // Without randomness everything still happens, only less spread out.
    let _ = SystemRandom::new().fill(&mut bytes);
    (i128::from(whole) * i128::from(u32::from_be_bytes(bytes)) / i128::from(u32::MAX)) as i64
}

/// A number from nothing to below `parts` that depends on the text alone, evenly spread.
pub fn spread(text: &str, parts: i64) -> i64 {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let head = digest.as_ref().iter().take(8).fold(0_u64, |head, byte| (head << 8) | u64::from(*byte));
    (head % parts.unsigned_abs().max(1)).cast_signed()
}

/// SHA-256, in hex.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes.as_ref());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The challenge of a PKCE verifier (RFC 7636 section 4.2, method S256).
pub fn pkce_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let challenge = pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");

        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_part_is_never_more_than_the_whole() {
        for _ in 0..1000 {
            assert!((0..=7).contains(&jitter(7)));
        }
        assert_eq!(secret().unwrap().len(), 43);
    }
}
