//! Arrays of tables with secrets in them that no message may quote: how their rows are read, and `auth.api_keys`.

use super::{
    ApiKey, Config, Scope,
    mistake::{Mistake, Place, suggest},
    raw::{Entry, Node, Raw, parse_value},
    read::{list, switch, text},
};
use crate::protocol::Tenant;

const API_KEY_FIELDS: [&str; 4] = ["id", "hash", "scopes", "tenant"];

/// Reads `auth.api_keys`.
pub(super) fn read_api_keys(config: &mut Config, node: &Node, mistakes: &mut Vec<Mistake>) {
    let Some(rows) = rows("auth.api_keys", node, mistakes) else { return };
    config.auth.api_keys = rows.iter().filter_map(|row| api_key(row, mistakes)).collect();
}

/// The tables of an array; from the environment as TOML or JSON.
pub(super) fn rows(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<Node>> {
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
pub(super) struct Table<'a> {
    pub(super) setting: &'static str,
    pub(super) place: &'a Place,
    pub(super) entries: &'a [Entry],
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl<'a> Table<'a> {
    pub(super) fn of(
        setting: &'static str,
        row: &'a Node,
        fields: &[&str],
        mistakes: &'a mut Vec<Mistake>,
    ) -> Option<Self> {
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

    pub(super) fn wrong(&mut self, place: &Place, field: &str, what: &str, right: impl Into<String>) {
        self.mistakes.push(Mistake::new(place, format!("{} {field} {what}", self.setting), right));
    }

    pub(super) fn field(&self, name: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value)
    }

    /// Outer `None`: a mistake, reported; inner `None`: not there.
    #[expect(clippy::option_option, reason = "both have a meaning, said above")]
    pub(super) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Option<T>> {
        let Some(node) = self.field(name) else { return Some(None) };
        match text(&node.raw).map(parse) {
            Some(Ok(value)) => return Some(Some(value)),
            Some(Err(right)) => self.wrong(&node.place, name, "is wrong", right),
            None => self.wrong(&node.place, name, &format!("is {}", node.raw.kind()), "write a string"),
        }
        None
    }

    pub(super) fn required<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = self.optional(name, parse)?;
        if value.is_none() {
            self.wrong(self.place, name, "is missing", format!("write {name} = \"…\""));
        }
        value
    }

    pub(super) fn id(&mut self) -> Option<String> {
        self.required("id", |id| match Tenant::new(id) {
            Ok(_) => Ok(id.to_owned()),
            Err(_) => Err("an id is 1 to 64 characters of A-Z a-z 0-9 _ . @ + -".into()),
        })
    }

    /// `true` or `false`; `false` when it is not there, `None` after a mistake.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        let Some(node) = self.field(name) else { return Some(false) };
        let on = switch(&node.raw);
        if on.is_none() {
            self.wrong(&node.place, name, &format!("is {}", node.raw.kind()), "write true or false");
        }
        on
    }

    /// The parsed items of an array; empty when it is not there, `None` after a mistake.
    pub(super) fn items<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
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

    pub(super) fn tenants(&mut self) -> Option<Vec<Tenant>> {
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
}
