//! `auth.jwt`: the rows as keys. Files are read here, once; a reload reads them again.

use super::{
    Config, JwkSet, JwksOrigin, JwksUrl, JwtAlgorithm, JwtKey, KeySource, Target, TargetError, VerificationKey,
    keys::{Table, rows},
    limits::{JWKS_BYTES_MAX, KEY_FILE_BYTES_MAX},
    mistake::{Mistake, suggest},
    raw::Node,
    read::text,
    secret::{MAKE_A_SECRET, check_private, check_secret, read_file, read_secret_file},
};

const SETTING: &str = "auth.jwt";
const FIELDS: [&str; 15] = [
    "id",
    "algorithm",
    "secret",
    "secret_file",
    "public_key",
    "public_key_file",
    "jwks_file",
    "jwks_url",
    "jwks_ca_file",
    "jwks_allow_http",
    "algorithms",
    "issuer",
    "audience",
    "token_type",
    "tenants",
];
/// Exactly one of them says where the key is.
const SOURCES: [&str; 6] = ["secret", "secret_file", "public_key", "public_key_file", "jwks_file", "jwks_url"];

/// Reads `auth.jwt`; a plain string is the secret of the key `main`.
pub(super) fn read_jwt_keys(config: &mut Config, node: &Node, mistakes: &mut Vec<Mistake>) {
    if let Some(secret) = text(&node.raw).filter(|text| !looks_structured(text)) {
        let mut row = Table { setting: SETTING, place: &node.place, entries: &[], mistakes };
        let secret = check_secret(&mut row, (secret, &node.place), JwtAlgorithm::Hs256.secret_bytes_min());
        let main = |secret: Vec<u8>| JwtKey::secret("main", JwtAlgorithm::Hs256, &secret);
        config.auth.jwt = secret.map(main).into_iter().collect();
        return;
    }
    let Some(rows) = rows(SETTING, node, mistakes) else { return };
    config.auth.jwt = rows.iter().filter_map(|row| jwt_key(row, mistakes)).collect();
}

fn looks_structured(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

fn jwt_key(node: &Node, mistakes: &mut Vec<Mistake>) -> Option<JwtKey> {
    let mut row = Table::of(SETTING, node, &FIELDS, mistakes)?;
    let id = row.id();
    let source = source(&mut row);
    let tenants = row.tenants();
    let mut rule = |name| row.optional(name, |text| filled(text).map(str::to_owned));
    let (issuer, audience, token_type) = (rule("issuer"), rule("audience"), rule("token_type"));
    Some(JwtKey {
        id: id?,
        source: source?,
        tenants: tenants?,
        issuer: issuer?,
        audience: audience?,
        token_type: token_type?,
    })
}

fn filled(text: &str) -> Result<&str, String> {
    if text.trim().is_empty() { Err("it must not be empty; leave the field out instead".into()) } else { Ok(text) }
}

fn source(row: &mut Table<'_>) -> Option<KeySource> {
    let given: Vec<_> = SOURCES.into_iter().filter(|name| row.field(name).is_some()).collect();
    match given.as_slice() {
        [] => {
            let right = format!("{MAKE_A_SECRET}; or write public_key_file, jwks_url or jwks_file");
            row.wrong(row.place, "secret", "is missing", right);
            None
        }
        [field @ ("jwks_file" | "jwks_url")] => key_set(row, field),
        [field] => Some(KeySource::Key(one_key(row, field)?)),
        [first, second, ..] => {
            let place = row.field(second).map_or(row.place, |node| &node.place);
            row.wrong(place, second, &format!("stands beside {first}"), "keep one of the two");
            None
        }
    }
}

fn one_key(row: &mut Table<'_>, field: &str) -> Option<VerificationKey> {
    for name in ["algorithms", "jwks_ca_file", "jwks_allow_http"] {
        if let Some(node) = row.field(name) {
            row.wrong(&node.place, name, &format!("stands beside {field}"), "it belongs to a key set: leave it out");
            return None;
        }
    }
    let algorithm = row.optional("algorithm", parse_algorithm)?;
    let place = row.field(field).map_or(row.place, |node| &node.place);
    if let "secret" | "secret_file" = field {
        let algorithm = algorithm.unwrap_or(JwtAlgorithm::Hs256);
        if !algorithm.is_symmetric() {
            let right = "write public_key or public_key_file; the private key stays with the signer";
            row.wrong(place, field, &format!("stands beside algorithm {}", algorithm.as_str()), right);
            return None;
        }
        let secret = match field {
            "secret" => row.required(field, |secret| Ok(secret.to_owned()))?,
            _ => row.required(field, read_secret_file)?,
        };
        let secret = check_secret(row, (&secret, place), algorithm.secret_bytes_min())?;
        return Some(VerificationKey::secret(algorithm, &secret));
    }
    let Some(algorithm) = algorithm else {
        let right = "say which one the signer uses: RS256, RS384, RS512, ES256, ES384 or EdDSA";
        row.wrong(row.place, "algorithm", "is missing", right);
        return None;
    };
    row.required(field, |text| match field {
        "public_key" => VerificationKey::from_pem(algorithm, text),
        path => {
            debug_assert_eq!(path, "public_key_file");
            let pem = read_file(text, KEY_FILE_BYTES_MAX)?;
            VerificationKey::from_pem(algorithm, &pem).map_err(|right| format!("{text}: {right}"))
        }
    })
}

fn key_set(row: &mut Table<'_>, field: &str) -> Option<KeySource> {
    if let Some(node) = row.field("algorithm") {
        let right = "a key set's keys have their own: write algorithms = [\"RS256\"] to say which may be used";
        row.wrong(&node.place, "algorithm", &format!("stands beside {field}"), right);
        return None;
    }
    let is_url = field == "jwks_url";
    let algorithms = row.items("algorithms", |name| match parse_algorithm(name)? {
        shared if shared.is_symmetric() && is_url => {
            Err(format!("{name} has a shared secret, which must not be published: name others"))
        }
        algorithm => Ok(algorithm),
    })?;
    let algorithms = if algorithms.is_empty() { JwtAlgorithm::ASYMMETRIC.to_vec() } else { algorithms };
    if is_url {
        let allow_http = row.switch("jwks_allow_http")?;
        let ca_file = row.optional("jwks_ca_file", |path| filled(path).map(Into::into))?;
        let target = row.required(field, |url| check_url(url, allow_http))?;
        return Some(KeySource::Url(JwksUrl { target, algorithms, ca_file }));
    }
    for name in ["jwks_ca_file", "jwks_allow_http"] {
        if let Some(node) = row.field(name) {
            row.wrong(&node.place, name, "stands beside jwks_file", "it belongs to jwks_url: leave it out");
            return None;
        }
    }
    let has_secrets = algorithms.iter().any(|algorithm| algorithm.is_symmetric());
    let origin = if has_secrets { JwksOrigin::PrivateFile } else { JwksOrigin::Public };
    let set = row.required(field, |path| {
        if has_secrets {
            check_private(path)?;
        }
        let text = read_file(path, JWKS_BYTES_MAX as u64)?;
        JwkSet::parse(text.as_bytes(), &algorithms, origin).map_err(|why| format!("{path}: {why}"))
    })?;
    Some(KeySource::File(set))
}

fn parse_algorithm(name: &str) -> Result<JwtAlgorithm, String> {
    JwtAlgorithm::parse(name).ok_or_else(|| suggest(name, JwtAlgorithm::names()))
}

/// An address that nobody on the way can answer for.
fn check_url(url: &str, allow_http: bool) -> Result<Target, String> {
    let target: Target = url.parse().map_err(|right: TargetError| right.to_string())?;
    if target.is_open_to_eavesdroppers() && !allow_http {
        return Err("over http anybody on the way can put in keys of their own: write https, or \
                    jwks_allow_http = true beside it if nobody can be on the way"
            .into());
    }
    Ok(target)
}
