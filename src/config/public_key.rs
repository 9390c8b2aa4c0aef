//! What signatures are verified with: a secret, or a public key that has been looked at: its kind, its size, its curve.

use super::{JwtAlgorithm, limits::RSA_BITS_MIN};
use aws_lc_rs::{
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RsaPublicKeyComponents,
        VerificationAlgorithm,
    },
};
use std::fmt;
use tokio_rustls::rustls::pki_types::{SubjectPublicKeyInfoDer, pem::PemObject};

/// Largest modulus that the library verifies with.
const RSA_BITS_MAX: usize = 8_192;

/// A key and the one algorithm it is for.
#[derive(Clone, PartialEq, Eq)]
pub struct VerificationKey {
    algorithm: JwtAlgorithm,
    material: KeyMaterial,
}

/// What a key is made of.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum KeyMaterial {
    Secret(Vec<u8>),
    /// Modulus and exponent, big-endian.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A point of the algorithm's curve, as SubjectPublicKeyInfo or as it is.
    Point(Vec<u8>),
}

impl VerificationKey {
    /// A shared secret.
    pub fn secret(algorithm: JwtAlgorithm, secret: &[u8]) -> Self {
        Self { algorithm, material: KeyMaterial::Secret(secret.to_vec()) }
    }

    /// A public key as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// What would be right; never a part of the text, which may be a private key by mistake.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: &str) -> Result<Self, String> {
        let name = algorithm.as_str();
        if algorithm.is_symmetric() {
            return Err(format!("{name} has a shared secret: write secret or secret_file"));
        }
        if pem.contains("PRIVATE KEY-----") {
            return Err("this is a private key, which only the signer needs: write the PEM text that \
                        `openssl pkey -in KEY -pubout` prints"
                .into());
        }
        let one = pem.matches("-----BEGIN ").count() == 1;
        let Some(spki) = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).ok().filter(|_| one) else {
            return Err("write PEM text with one PUBLIC KEY in it: `openssl pkey -in KEY -pubout` prints it, \
                        `openssl x509 -in CERTIFICATE -pubkey -noout` for a certificate"
                .into());
        };
        match algorithm {
            JwtAlgorithm::Rs256 | JwtAlgorithm::Rs384 | JwtAlgorithm::Rs512 => {
                let key = rsa::PublicKey::from_der(&spki).map_err(|_| format!("{name} needs an RSA key"))?;
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(&key);
                Self::rsa(algorithm, n, e)
            }
            _ => Self::point(algorithm, spki.to_vec()),
        }
    }

    /// An RSA key of its parts.
    pub(super) fn rsa(algorithm: JwtAlgorithm, n: Vec<u8>, e: Vec<u8>) -> Result<Self, String> {
        let bits = bits(&n);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
            return Err(format!("an RSA key must have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, not {bits}"));
        }
        let is_odd = e.last().is_some_and(|last| last % 2 == 1);
        if !is_odd || !(2..=33).contains(&self::bits(&e)) {
            return Err("an RSA key's exponent must be odd, and from 3 to 33 bits".into());
        }
        Ok(Self { algorithm, material: KeyMaterial::Rsa { n, e } })
    }

    /// A point of the algorithm's curve.
    pub(super) fn point(algorithm: JwtAlgorithm, bytes: Vec<u8>) -> Result<Self, String> {
        let (verifier, curve): (&'static dyn VerificationAlgorithm, _) = match algorithm {
            JwtAlgorithm::Es256 => (&ECDSA_P256_SHA256_FIXED, "a P-256"),
            JwtAlgorithm::Es384 => (&ECDSA_P384_SHA384_FIXED, "a P-384"),
            _ => (&ED25519, "an Ed25519"),
        };
        // Parsed once, here, so that a wrong curve or a point beside it is a mistake in the settings.
        match ParsedPublicKey::new(verifier, &bytes) {
            Ok(_) => Ok(Self { algorithm, material: KeyMaterial::Point(bytes) }),
            Err(_) => Err(format!("{} needs {curve} key", algorithm.as_str())),
        }
    }

    /// The one algorithm it is for.
    pub fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }

    pub(crate) fn material(&self) -> &KeyMaterial {
        &self.material
    }
}

fn bits(number: &[u8]) -> usize {
    let Some(first) = number.iter().position(|byte| *byte != 0) else { return 0 };
    (number.len() - first) * 8 - number[first].leading_zeros() as usize
}

// The secret stays out of debug output, and so out of every log.
impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
