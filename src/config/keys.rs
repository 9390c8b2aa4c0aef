//! `auth.jwt` and `auth.api_keys`: arrays of tables, with secrets in them that no message may quote.

use super::{
    ApiKey, Config, JwtAlgorithm, JwtKey, Scope,
    limits::{CONFIG_BYTES_MAX, JWT_SECRET_BYTES_MIN},
    mistake::{Mistake, Place, suggest},
    raw::{Entry, Node, Raw, parse_value},
    read::{list, text},
};
use crate::protocol::Tenant;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

const JWT_FIELDS: [&str; 5] = ["id", "algorithm", "secret", "secret_file", "tenants"];
const API_KEY_FIELDS: [&str; 4] = ["id", "hash", "scopes", "tenant"];

/// Reads `auth.jwt`; a plain string is the secret of the key `main`.
pub(super) fn read_jwt_keys(config: &mut Config, node: &Node, mistakes: &mut Vec<Mistake>) {
    if let Some(secret) = text(&node.raw).filter(|text| !looks_structured(text)) {
        let mut table = Table { setting: "auth.jwt", place: &node.place, entries: &[], mistakes };
        config.auth.jwt = table.check_secret(secret, &node.place).map(main_key).into_iter().collect();
        return;
    }
    let Some(rows) = rows("auth.jwt", node, mistakes) else { return };
    config.auth.jwt = rows.iter().filter_map(|row| jwt_key(row, mistakes)).collect();
}

/// Reads `auth.api_keys`.
pub(super) fn read_api_keys(config: &mut Config, node: &Node, mistakes: &mut Vec<Mistake>) {
    let Some(rows) = rows("auth.api_keys", node, mistakes) else { return };
    config.auth.api_keys = rows.iter().filter_map(|row| api_key(row, mistakes)).collect();
}

/// Reads a section's own `secret`.
pub(super) fn read_secret(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<u8>> {
    let mut table = Table { setting, place: &node.place, entries: &[], mistakes };
    match text(&node.raw) {
        Some(secret) => table.check_secret(secret, &node.place),
        None => {
            table.wrong(&node.place, "secret", &format!("is {}", node.raw.kind()), MAKE_A_SECRET);
            None
        }
    }
}

/// Reads a section's own `secret_file`.
pub(super) fn read_secret_at(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<u8>> {
    let mut table = Table { setting, place: &node.place, entries: &[], mistakes };
    match text(&node.raw).map(|path| read_secret_file(Path::new(path))) {
        Some(Ok(secret)) => table.check_secret(&secret, &node.place),
        Some(Err(why)) => {
            table.wrong(&node.place, "secret_file", "is wrong", why);
            None
        }
        None => {
            table.wrong(&node.place, "secret_file", &format!("is {}", node.raw.kind()), "write a path");
            None
        }
    }
}

fn looks_structured(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

/// The tables of an array; from the environment as TOML or JSON.
fn rows(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<Node>> {
    let parsed = match &node.raw {
        Raw::Loose(text) => parse_value(&node.place, text.trim()),
        _ => Some(node.clone()),
    };
    match parsed.map(|node| (node.raw.kind(), node)) {
        Some((_, Node { raw: Raw::List(rows), .. })) => Some(rows),
        Some((_, table @ Node { raw: Raw::Table(_), .. })) => Some(vec![table]),
        other => {
            let found = other.map_or("neither TOML nor JSON", |(kind, _)| kind);
            let right = format!("write [[{setting}]] tables in the file, [{{id = \"…\", …}}] in the environment");
            mistakes.push(Mistake::new(&node.place, format!("{setting} is {found}"), right));
            None
        }
    }
}

fn jwt_key(row: &Node, mistakes: &mut Vec<Mistake>) -> Option<JwtKey> {
    let mut table = Table::of("auth.jwt", row, &JWT_FIELDS, mistakes)?;
    let id = table.id();
    let algorithm = table.optional("algorithm", |name| match name {
        "HS256" => Ok(JwtAlgorithm::Hs256),
        _ => Err("the only algorithm so far is HS256".into()),
    });
    let secret = table.secret();
    let tenants = table.tenants();
    Some(JwtKey { id: id?, algorithm: algorithm?.unwrap_or(JwtAlgorithm::Hs256), secret: secret?, tenants: tenants? })
}

fn main_key(secret: Vec<u8>) -> JwtKey {
    JwtKey { id: "main".into(), algorithm: JwtAlgorithm::Hs256, secret, tenants: vec![Tenant::default()] }
}

fn api_key(row: &Node, mistakes: &mut Vec<Mistake>) -> Option<ApiKey> {
    let mut table = Table::of("auth.api_keys", row, &API_KEY_FIELDS, mistakes)?;
    let id = table.id();
    let hash = table.required("hash", |hex| {
        parse_hash(hex).ok_or_else(|| "write the 64 hexadecimal digits that `carillon key new` prints".to_owned())
    });
    let scopes = table.items("scopes", |name| {
        Scope::parse(name).ok_or_else(|| suggest(name, Scope::ALL.iter().map(|scope| scope.as_str())))
    });
    if scopes.as_ref().is_some_and(Vec::is_empty) {
        table.wrong(table.place, "scopes", "is missing or empty", "write scopes = [\"publish\", \"read\"]");
    }
    let tenant = table.optional("tenant", |name| Tenant::new(name).map_err(|error| error.to_string()));
    Some(ApiKey {
        id: id?,
        hash: hash?,
        scopes: scopes.filter(|scopes| !scopes.is_empty())?,
        tenant: tenant?.unwrap_or_default(),
    })
}

fn parse_hash(hex: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (nth, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(nth * 2..nth * 2 + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// One row while it is read. Values are never quoted: any of them may be a secret in the wrong field.
struct Table<'a> {
    setting: &'static str,
    place: &'a Place,
    entries: &'a [Entry],
    mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Table<'a> {
    fn of(setting: &'static str, row: &'a Node, fields: &[&str], mistakes: &'a mut Vec<Mistake>) -> Option<Self> {
        let Raw::Table(entries) = &row.raw else {
            let what = format!("{setting} has {} in it", row.raw.kind());
            mistakes.push(Mistake::new(&row.place, what, "every entry must be a table"));
            return None;
        };
        for entry in entries.iter().filter(|entry| !fields.contains(&entry.key.as_str())) {
            let what = format!("{setting} has no field {:?}", entry.key);
            mistakes.push(Mistake::new(&entry.place, what, suggest(&entry.key, fields.iter().copied())));
        }
        Some(Self { setting, place: &row.place, entries, mistakes })
    }

    fn wrong(&mut self, place: &Place, field: &str, what: &str, right: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, format!("{} {field} {what}", self.setting), right));
    }

    fn field(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    /// Outer `None`: a mistake, reported; inner `None`: not there.
    #[expect(clippy::option_option, reason = "both have a meaning, said above")]
    fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Option<T>> {
        let Some(node) = self.field(name) else { return Some(None) };
        match text(&node.raw).map(parse) {
            Some(Ok(value)) => return Some(Some(value)),
            Some(Err(right)) => self.wrong(&node.place, name, "is wrong", right),
            None => self.wrong(&node.place, name, &format!("is {}", node.raw.kind()), "write a string"),
        }
        None
    }

    fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.optional(name, parse)?;
        if value.is_none() {
            self.wrong(self.place, name, "is missing", format!("write {name} = \"…\""));
        }
        value
    }

    fn id(&mut self) -> Option<String> {
        self.required("id", |id| match Tenant::new(id) {
            Ok(_) => Ok(id.to_owned()),
            Err(_) => Err("an id is 1 to 64 characters of A-Z a-z 0-9 _ . @ + -".into()),
        })
    }

    /// The parsed items of an array; empty when it is not there, `None` after a mistake.
    fn items<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let Some(node) = self.field(name) else { return Some(Vec::new()) };
        let Some(items) = list(node) else {
            self.wrong(&node.place, name, &format!("is {}", node.raw.kind()), "write an array of strings");
            return None;
        };
        let mut parsed = Vec::with_capacity(items.len());
        for item in &items {
            match text(&item.raw).map_or_else(|| Err("write a string".to_owned()), &parse) {
                Ok(value) => parsed.push(value),
                Err(right) => self.wrong(&item.place, name, "has a wrong entry", right),
            }
        }
        (parsed.len() == items.len()).then_some(parsed)
    }

    fn tenants(&mut self) -> Option<Vec<Tenant>> {
        let tenants = self.items("tenants", |name| Tenant::new(name).map_err(|error| error.to_string()))?;
        match self.field("tenants") {
            None => Some(vec![Tenant::default()]),
            Some(node) if tenants.is_empty() => {
                self.wrong(&node.place, "tenants", "is empty", "name one, or leave the field out for \"default\"");
                None
            }
            Some(_) => Some(tenants),
        }
    }

    /// The secret itself, from `secret` or `secret_file`, exactly one of them.
    fn secret(&mut self) -> Option<Vec<u8>> {
        match (self.field("secret"), self.field("secret_file")) {
            (Some(_), None) => {
                let secret = self.required("secret", |secret| Ok(secret.to_owned()))?;
                let place = self.field("secret").map_or(self.place, |node| &node.place);
                self.check_secret(&secret, place)
            }
            (None, Some(node)) => {
                let secret = self.required("secret_file", |path| read_secret_file(Path::new(path)))?;
                self.check_secret(&secret, &node.place)
            }
            (None, None) => {
                self.wrong(self.place, "secret", "is missing", MAKE_A_SECRET);
                None
            }
            (Some(_), Some(node)) => {
                self.wrong(&node.place, "secret_file", "stands beside secret", "keep one of the two");
                None
            }
        }
    }

    fn check_secret(&mut self, text: &str, place: &Place) -> Option<Vec<u8>> {
        let secret = match text.strip_prefix("base64:") {
            None => text.as_bytes().to_vec(),
            Some(encoded) => match STANDARD.decode(encoded.trim()) {
                Ok(bytes) => bytes,
                Err(_) => {
                    self.wrong(place, "secret", "is no base64", "write base64: and standard base64 with padding");
                    return None;
                }
            },
        };
        if secret.len() < JWT_SECRET_BYTES_MIN {
            let what = format!("has {} bytes, at least {JWT_SECRET_BYTES_MIN} are needed", secret.len());
            self.wrong(place, "secret", &what, MAKE_A_SECRET);
            return None;
        }
        Some(secret)
    }
}

/// How to make a secret, for messages.
pub(super) const MAKE_A_SECRET: &str = "make one with `head -c 32 /dev/urandom | base64` and write it as \"base64:…\"";

/// Reads a secret's file; not one that everybody on the machine can read too.
fn read_secret_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if metadata.permissions().mode() & 0o004 != 0 {
        return Err(format!("{shown} can be read by everybody: chmod o-r {shown}"));
    }
    if metadata.len() > CONFIG_BYTES_MAX {
        return Err(format!("{shown} is too large for a secret"));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
