//! Who says so? Ed25519 keys in PEM, as OpenSSL writes them, and signatures by them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::error::{Error, Result};

/// What stands before the 32 bytes of a secret key in PKCS #8 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What stands before the 32 bytes of a public key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A key that signs checkpoints and grants. It is shown nowhere but by [`to_pem`](Self::to_pem).
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// `StoreUnavailable`: the operating system has no random bits.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| Error::store(format!("no random bits: {e}")))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads PKCS #8 in PEM.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: it is no Ed25519 key; what it is stands in no message.
    pub fn from_pem(text: &str) -> Result<Self> {
        let seed =
            text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).and_then(|(inner, _)| {
                let letters: String = inner.split_whitespace().collect();
                let bytes = STANDARD.decode(letters).ok()?;
                bytes.strip_prefix(&PKCS8)?.try_into().ok()
            });
        let seed: [u8; 32] = seed.ok_or_else(|| {
            Error::invalid("it is no Ed25519 key in PEM; `outlay audit keygen FILE` makes one")
        })?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// As PKCS #8 in PEM.
    pub fn to_pem(&self) -> String {
        let bytes = [&PKCS8[..], &self.0.to_bytes()].concat();
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(bytes))
    }

    /// The key that tells its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// A key that tells signatures. `Display` is 64 hexadecimal digits; [`FromStr`] also reads PEM, with or
/// without its first and last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    /// # Errors
    ///
    /// `InvalidInput`: it is no key.
    fn from_str(text: &str) -> Result<Self> {
        let in_pem = || {
            let inner = text.split("-----").nth(2).unwrap_or(text);
            let letters: String = inner.split_whitespace().collect();
            STANDARD.decode(letters).ok()?.strip_prefix(&SPKI)?.try_into().ok()
        };
        let bytes: Option<[u8; 32]> = bytes_of(text.trim()).or_else(in_pem);
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
        key.map(Self)
            .ok_or_else(|| Error::invalid("it is no Ed25519 public key: 64 hexadecimal digits, or PEM"))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads what [`hex`] wrote; nothing when it is not that.
pub(crate) fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != N * 2 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        // Section 7.1, test 2.
        let seed = bytes_of("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SecretKey(SigningKey::from_bytes(&seed));
        let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        let signature = key.sign(&[0x72]);
        assert!(
            hex(&signature).starts_with("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
        );
        assert!(key.public().has_signed(&[0x72], &signature));
        assert!(!key.public().has_signed(&[0x73], &signature));
    }

    #[test]
    fn keys_are_read_as_openssl_writes_them() {
        // The example of RFC 8410, section 10.3 and 10.1.
        let pem = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let key = SecretKey::from_pem(pem).unwrap();
        assert_eq!(key.to_pem(), pem);
        assert_eq!(key.public(), public.parse().unwrap());
        assert_eq!(key.public(), public.lines().nth(1).unwrap().parse().unwrap());
        assert_eq!(key.public(), key.public().to_string().parse().unwrap());
        for wrong in ["", "abc", &pem[..40], public] {
            assert!(SecretKey::from_pem(wrong).is_err());
        }
        assert_eq!(format!("{key:?}"), "SecretKey");
    }
}
