//! JSON Web Key Sets (RFC 7517): which of their keys may be used, for what, and why not the others.
//!
//! A set is somebody else's text, so nothing in it is taken on trust: sizes, kinds and curves are checked, and a key
//! whose algorithm is not on the entry's list does not exist.

use super::{
    JwtAlgorithm, VerificationKey,
    limits::{JWKS_BYTES_MAX, JWKS_KEYS_MAX, KID_BYTES_MAX},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;

/// The usable keys of a set. `Debug` shows no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    /// In the order of the set.
    pub keys: Vec<Jwk>,
    /// For logs: each key that is not used, and why.
    pub skipped: Vec<String>,
}

/// A key of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Its `kid`.
    pub id: Option<String>,
    /// The key and its one algorithm.
    pub key: VerificationKey,
}

/// Who could have read a set on its way here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwksOrigin {
    /// A file that not everybody can read: shared secrets may stand in it.
    PrivateFile,
    /// Published for everybody.
    Public,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct RawKey {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl JwkSet {
    /// Reads a set. A key that is not for us is skipped, and said.
    ///
    /// # Errors
    /// When it is no set, too large, or has no key that may be used.
    pub fn parse(text: &[u8], allowed: &[JwtAlgorithm], origin: JwksOrigin) -> Result<Self, String> {
        if text.len() > JWKS_BYTES_MAX {
            return Err(format!("the key set has more than {JWKS_BYTES_MAX} bytes"));
        }
        // The reader's own words may quote what it read.
        let raw: RawSet =
            serde_json::from_slice(text).map_err(|_| "it is no key set: {\"keys\": [{\"kty\": …}, …]}".to_owned())?;
        if raw.keys.len() > JWKS_KEYS_MAX {
            return Err(format!("the key set has {} keys, more than {JWKS_KEYS_MAX}", raw.keys.len()));
        }
        let mut set = Self::default();
        for (nth, raw) in raw.keys.into_iter().enumerate() {
            match key(raw, allowed, origin) {
                Ok(key) => set.keys.push(key),
                Err((Some(kid), why)) => set.skipped.push(format!("key {kid:?}: {why}")),
                Err((None, why)) => set.skipped.push(format!("key {}: {why}", nth + 1)),
            }
        }
        if set.keys.is_empty() {
            let why = if set.skipped.is_empty() { "it is empty".to_owned() } else { set.skipped.join("; ") };
            return Err(format!("the key set has no key that may be used here: {why}"));
        }
        Ok(set)
    }
}

/// The key, or its `kid` and why it is skipped.
fn key(raw: Value, allowed: &[JwtAlgorithm], origin: JwksOrigin) -> Result<Jwk, (Option<String>, String)> {
    let kid = raw["kid"].as_str().filter(|kid| kid.len() <= KID_BYTES_MAX).map(str::to_owned);
    let raw: RawKey =
        serde_json::from_value(raw).map_err(|_| (kid.clone(), "a field is missing or has a wrong type".to_owned()))?;
    if raw.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
        return Err((None, format!("its kid has more than {KID_BYTES_MAX} bytes")));
    }
    match usable(&raw, allowed, origin) {
        Ok(key) => Ok(Jwk { id: kid, key }),
        Err(why) => Err((kid, why)),
    }
}

fn usable(raw: &RawKey, allowed: &[JwtAlgorithm], origin: JwksOrigin) -> Result<VerificationKey, String> {
    if raw.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Err("it is not for signatures (use)".into());
    }
    if raw.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("it is not for verifying (key_ops)".into());
    }
    if raw.kty == "oct" && origin == JwksOrigin::Public {
        return Err("it is a shared secret, which must not be published".into());
    }
    let algorithm = algorithm(raw, allowed)?;
    if !allowed.contains(&algorithm) {
        return Err(format!("{} is not among the entry's algorithms", algorithm.as_str()));
    }
    match raw.kty.as_str() {
        "oct" => {
            let secret = field("k", raw.k.as_ref())?;
            let least = algorithm.secret_bytes_min();
            if secret.len() < least {
                return Err(format!("{} needs a secret of at least {least} bytes", algorithm.as_str()));
            }
            Ok(VerificationKey::secret(algorithm, &secret))
        }
        "RSA" => VerificationKey::rsa(algorithm, field("n", raw.n.as_ref())?, field("e", raw.e.as_ref())?),
        "EC" => {
            // RFC 7518, section 6.2.1.2: both have the length of the field, leading zeros included.
            let half = if algorithm == JwtAlgorithm::Es256 { 32 } else { 48 };
            let (x, y) = (field("x", raw.x.as_ref())?, field("y", raw.y.as_ref())?);
            if x.len() != half || y.len() != half {
                return Err(format!("x and y must have {half} bytes each"));
            }
            VerificationKey::point(algorithm, [&[4], x.as_slice(), &y].concat())
        }
        _ => {
            let x = field("x", raw.x.as_ref())?;
            if x.len() != 32 {
                return Err("x must have 32 bytes".into());
            }
            VerificationKey::point(algorithm, x)
        }
    }
}

/// The one algorithm of a key: its `alg`, which must fit its kind, or else what its kind allows.
fn algorithm(raw: &RawKey, allowed: &[JwtAlgorithm]) -> Result<JwtAlgorithm, String> {
    use JwtAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Rs256, Rs384, Rs512};
    let fits: &[JwtAlgorithm] = match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("RSA", _) => &[Rs256, Rs384, Rs512],
        ("EC", Some("P-256")) => &[Es256],
        ("EC", Some("P-384")) => &[Es384],
        ("OKP", Some("Ed25519")) => &[EdDsa],
        ("oct", _) => &[Hs256, Hs384, Hs512],
        _ => return Err("its kind (kty, crv) is not supported: RSA, EC P-256, EC P-384 and OKP Ed25519 are".into()),
    };
    match &raw.alg {
        Some(name) => JwtAlgorithm::parse(name)
            .filter(|algorithm| fits.contains(algorithm))
            .ok_or_else(|| "its alg is not supported, or does not fit its kind".into()),
        // Several would do for RSA: the first that the entry lists.
        None => allowed
            .iter()
            .copied()
            .find(|algorithm| fits.contains(algorithm))
            .ok_or_else(|| "no algorithm of its kind is among the entry's algorithms".into()),
    }
}

fn field(name: &str, value: Option<&String>) -> Result<Vec<u8>, String> {
    let value = value.ok_or_else(|| format!("{name} is missing"))?;
    URL_SAFE_NO_PAD.decode(value).map_err(|_| format!("{name} is no base64url"))
}
