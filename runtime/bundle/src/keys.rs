//! Key files, on the host: one line, `gradgate-ed25519-secret` or `-public` and 64 hex digits.

use alloc::format;
use alloc::string::String;
use core::fmt;

use ed25519_dalek::{SigningKey, VerifyingKey};

const SECRET: &str = "gradgate-ed25519-secret";
const PUBLIC: &str = "gradgate-ed25519-public";

/// Why a key file was refused. Never holds key material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not one line of a known word and 64 hex digits.
    Format,
    /// A public key where a secret one is needed.
    NotSecret,
    /// A secret key where a public one is needed.
    NotPublic,
    /// 32 bytes that are no point of the curve.
    Invalid,
    /// A key of low order: anybody can sign for it.
    Weak,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "not a gradgate key file (one line: gradgate-ed25519-.. and 64 hex)",
            Self::NotSecret => "this is a public key, signing needs the secret one",
            Self::NotPublic => "this is a secret key: give the public one, and keep this one safe",
            Self::Invalid => "not a valid Ed25519 public key",
            Self::Weak => "the public key is weak (low order): make a new one with keygen",
        })
    }
}

impl core::error::Error for KeyError {}

/// The key that 32 secret random bytes make.
pub fn from_seed(seed: &[u8; 32]) -> SigningKey {
    SigningKey::from_bytes(seed)
}

/// Text of a secret key file. Create the file readable by its owner alone.
pub fn secret_text(key: &SigningKey) -> String {
    line(SECRET, key.as_bytes())
}

/// Text of a public key file.
pub fn public_text(key: &VerifyingKey) -> String {
    line(PUBLIC, key.as_bytes())
}

/// Reads a secret key file.
///
/// # Errors
/// Anything but one line of the secret form.
pub fn parse_secret(text: &str) -> Result<SigningKey, KeyError> {
    match parse(text)? {
        (SECRET, seed) => Ok(from_seed(&seed)),
        _ => Err(KeyError::NotSecret),
    }
}

/// Reads a public key file.
///
/// # Errors
/// Anything but one line of the public form, no point of the curve, or a weak key.
pub fn parse_public(text: &str) -> Result<VerifyingKey, KeyError> {
    let (PUBLIC, bytes) = parse(text)? else {
        return Err(KeyError::NotPublic);
    };
    let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::Invalid)?;
    if key.is_weak() { Err(KeyError::Weak) } else { Ok(key) }
}

fn line(word: &str, bytes: &[u8; 32]) -> String {
    let mut text = format!("{word} ");
    for byte in bytes {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('\n');
    text
}

fn parse(text: &str) -> Result<(&'static str, [u8; 32]), KeyError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (word, digits) = line.split_once(' ').ok_or(KeyError::Format)?;
    let word = [SECRET, PUBLIC].into_iter().find(|&w| w == word).ok_or(KeyError::Format)?;
    let digits: &[u8; 64] = digits.as_bytes().try_into().map_err(|_| KeyError::Format)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok((word, bytes))
}

fn nibble(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyError::Format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, section 7.1, test 1.
    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn the_published_pair_is_read_and_written() {
        let secret = format!("gradgate-ed25519-secret {SEED}\n");
        let public = format!("gradgate-ed25519-public {KEY}\n");
        let key = parse_secret(&secret).expect("published secret");
        assert_eq!(secret_text(&key), secret);
        assert_eq!(public_text(&key.verifying_key()), public);
        assert_eq!(parse_public(&public), Ok(key.verifying_key()));
    }

    #[test]
    fn wrong_files_are_refused() {
        let secret = format!("gradgate-ed25519-secret {SEED}");
        let public = format!("gradgate-ed25519-public {KEY}");
        assert_eq!(parse_secret(&public), Err(KeyError::NotSecret));
        assert_eq!(parse_public(&secret), Err(KeyError::NotPublic));
        // y = 2 has no x on the curve; y = 1 is the neutral element.
        for (first, error) in [("02", KeyError::Invalid), ("01", KeyError::Weak)] {
            let text = format!("gradgate-ed25519-public {first}{}", "0".repeat(62));
            assert_eq!(parse_public(&text), Err(error));
        }
        let long = format!("{public}00");
        let twice = format!("{public}\n{public}\n");
        let short = &public[..public.len() - 1];
        let letters = public.replace('d', "g");
        for text in ["", "\n", &long, &twice, short, &letters, "gradgate-ed25519-public é"] {
            assert_eq!(parse_public(text), Err(KeyError::Format), "{text:?}");
        }
    }
}
