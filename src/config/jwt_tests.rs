//! Entries of `auth.jwt`: which keys they give, and every mistake with what would be right, without a secret in it.

use super::{Config, Flag, JwtAlgorithm, KeySource, load};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

const SECRET: &str = "S3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cretS3cret";

fn fixture(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tokens/fixtures").join(name);
    path.display().to_string()
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).expect("a fixture")
}

/// The settings with one entry, id `a`, or the mistakes.
fn entry(fields: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("c.toml");
    fs::write(&file, format!("[[auth.jwt]]\nid = \"a\"\n{fields}\n")).expect("written");
    let no_flags: &[Flag] = &[];
    load(Some(&file), std::iter::empty(), no_flags).map_err(|mistakes| mistakes.to_string())
}

fn source(fields: &str) -> KeySource {
    let config = entry(fields).unwrap_or_else(|mistakes| panic!("{fields}\n{mistakes}"));
    config.auth.jwt.into_iter().next().expect("an entry").source
}

#[test]
fn an_entry_is_a_secret_a_public_key_or_a_key_set() {
    for (algorithm, file, expected) in [
        ("RS256", "rsa.pub.pem", JwtAlgorithm::Rs256),
        ("RS384", "rsa.pub.pem", JwtAlgorithm::Rs384),
        ("RS512", "rsa.pub.pem", JwtAlgorithm::Rs512),
        ("ES256", "p256.pub.pem", JwtAlgorithm::Es256),
        ("ES384", "p384.pub.pem", JwtAlgorithm::Es384),
        ("EdDSA", "ed25519.pub.pem", JwtAlgorithm::EdDsa),
    ] {
        let from_file = source(&format!("algorithm = \"{algorithm}\"\npublic_key_file = {:?}", fixture(file)));
        let in_place = source(&format!("algorithm = \"{algorithm}\"\npublic_key = '''{}'''", read(file)));
        assert_eq!(from_file, in_place, "{algorithm}");
        let KeySource::Key(key) = from_file else { panic!("{from_file:?}") };
        assert_eq!(key.algorithm(), expected);
    }
    let KeySource::Key(key) = source(&format!("algorithm = \"HS512\"\nsecret = \"{SECRET}\"")) else {
        panic!("no key")
    };
    assert_eq!(key.algorithm(), JwtAlgorithm::Hs512);
    let url = "jwks_url = \"https://id.example.org/keys\"";
    let KeySource::Url(all) = source(url) else { panic!("no address") };
    assert_eq!(all.algorithms, JwtAlgorithm::ASYMMETRIC);
    let KeySource::Url(one) = source(&format!("{url}\nalgorithms = [\"ES256\"]")) else { panic!("no address") };
    assert_eq!(
        (one.algorithms, one.target.to_string()),
        (vec![JwtAlgorithm::Es256], "https://id.example.org/keys".into())
    );
    for http in ["http://127.0.0.1:1/k", "http://[::1]/k", "http://localhost/k"] {
        source(&format!("jwks_url = \"{http}\""));
    }
    source("jwks_url = \"http://id.internal/k\"\njwks_allow_http = true");
}

#[test]
fn a_wrong_entry_is_explained_without_its_secret() {
    let public =
        |algorithm: &str, file: &str| format!("algorithm = \"{algorithm}\"\npublic_key_file = {:?}", fixture(file));
    let url = |rest: &str| format!("jwks_url = \"https://id.example.org/k\"\n{rest}");
    let table = [
        (public("RS256", "p256.pub.pem"), "RS256 needs an RSA key"),
        (public("ES256", "p384.pub.pem"), "ES256 needs a P-256 key"),
        (public("ES384", "p256.pub.pem"), "ES384 needs a P-384 key"),
        (public("ES256", "secp256k1.pub.pem"), "ES256 needs a P-256 key"),
        (public("ES256", "rsa.pub.pem"), "ES256 needs a P-256 key"),
        (public("EdDSA", "p256.pub.pem"), "EdDSA needs an Ed25519 key"),
        (public("RS256", "rsa1024.pub.pem"), "must have 2048 to 8192 bits, not 1024"),
        (public("RS256", "rsa.pem"), "this is a private key"),
        (public("HS256", "rsa.pub.pem"), "HS256 has a shared secret: write secret or secret_file"),
        (public("PS256", "rsa.pub.pem"), "did you mean `ES256`?"),
        (public("none", "rsa.pub.pem"), "known are: HS256, HS384"),
        (public("RS256", "none.pem"), "none.pem cannot be read"),
        (format!("public_key_file = {:?}", fixture("rsa.pub.pem")), "auth.jwt algorithm is missing"),
        (format!("algorithm = \"RS256\"\npublic_key = \"{SECRET}\""), "`openssl pkey -in KEY -pubout` prints it"),
        (format!("algorithm = \"RS256\"\npublic_key = '''{0}{0}'''", read("rsa.pub.pem")), "one PUBLIC KEY in it"),
        (format!("algorithm = \"RS256\"\nsecret = \"{SECRET}\""), "the private key stays with the signer"),
        (format!("algorithm = \"HS384\"\nsecret = \"{}\"", &SECRET[..47]), "has 47 bytes, at least 48 are needed"),
        (format!("algorithm = \"HS512\"\nsecret = \"{}\"", &SECRET[..63]), "head -c 64 /dev/urandom"),
        (format!("secret = \"{SECRET}\"\njwks_url = \"https://a/\""), "jwks_url stands beside secret"),
        (format!("secret = \"{SECRET}\"\nalgorithms = [\"HS256\"]"), "it belongs to a key set"),
        (url("algorithm = \"RS256\""), "write algorithms = [\"RS256\"]"),
        (url("algorithms = [\"HS256\"]"), "HS256 has a shared secret, which must not be published"),
        (url("algorithms = [\"RS25\"]"), "did you mean `RS256`?"),
        (url("jwks_allow_http = 1"), "write true or false"),
        (url("issuer = \"\""), "auth.jwt issuer is wrong"),
        ("jwks_url = \"http://id.example.org/k\"".into(), "over http anybody on the way can put in keys"),
        ("jwks_url = \"http://127.0.0.1.evil.example/k\"".into(), "over http anybody"),
        ("jwks_url = \"https://u:S3cret@id.example.org/k\"".into(), "without a user or a password"),
        ("jwks_url = \"file:///etc/passwd\"".into(), "auth.jwt jwks_url is wrong"),
        ("jwks_file = \"/nowhere/at/all\"".into(), "/nowhere/at/all cannot be read"),
        ("jwks_file = \"/dev/zero\"".into(), "has more than 262144 bytes"),
        (format!("jwks_file = {:?}", fixture("rsa.pub.pem")), "it is no key set"),
        ("jwks_file = \"x\"\njwks_ca_file = \"y\"".into(), "it belongs to jwks_url"),
    ];
    for (fields, expected) in table {
        let found = entry(&fields).err().unwrap_or_else(|| panic!("no mistake: {fields}"));
        assert!(found.contains(expected), "{fields}\nsaid: {found}\nexpected: {expected}");
        assert!(!found.contains("S3cret") && !found.contains("MII"), "{found}");
    }
}

#[test]
fn a_file_of_shared_secrets_is_for_few_eyes() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("set.json");
    // 32 bytes.
    let key = r#"{"kty": "oct", "kid": "k", "alg": "HS256", "k": "UzNjcmV0UzNjcmV0UzNjcmV0UzNjcmV0UzNjcmV0UzM"}"#;
    fs::write(&path, format!(r#"{{"keys": [{key}]}}"#)).expect("written");
    let fields = |algorithms: &str| format!("jwks_file = {path:?}\n{algorithms}");
    let allow = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
    allow(0o600);
    assert!(entry(&fields("")).expect_err("not asked for").contains("it is a shared secret"));
    assert!(matches!(source(&fields("algorithms = [\"HS256\"]")), KeySource::File(set) if set.keys.len() == 1));
    assert!(entry(&fields("algorithms = [\"HS512\"]")).expect_err("too short").contains("HS256 is not among"));
    allow(0o644);
    assert!(entry(&fields("algorithms = [\"HS256\"]")).expect_err("too open").contains("chmod o-r"));
}
