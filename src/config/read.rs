//! One raw value into the configuration, by its setting's kind.

use super::{
    Config,
    mistake::{Mistake, Place},
    raw::{Node, Raw, parse_value},
    schema::{Kind, Setting},
};

/// Sets `setting` from `node`, or says what is wrong.
pub(super) fn read(config: &mut Config, setting: &Setting, node: &Node, mistakes: &mut Vec<Mistake>) {
    let wrong = |what: String| Mistake::new(&node.place, what, format!("it must be {}", setting.expects()));
    let path = setting.path;
    match &setting.kind {
        Kind::Integer { range, set, .. } => match integer(&node.raw) {
            Some(value) => match u64::try_from(value).ok().filter(|value| range.contains(value)) {
                Some(value) => set(config, value),
                None => mistakes.push(wrong(format!("{path} is {value}"))),
            },
            None => mistakes.push(wrong(format!("{path} is {}", shown(&node.raw)))),
        },
        Kind::Switch { set, .. } => match switch(&node.raw) {
            Some(on) => set(config, on),
            None => mistakes.push(wrong(format!("{path} is {}", shown(&node.raw)))),
        },
        Kind::Text { set, .. } => match text(&node.raw) {
            Some(value) => {
                if let Err(right) = set(config, value) {
                    mistakes.push(Mistake::new(&node.place, format!("{path} is {}", without_secrets(value)), right));
                }
            }
            None => mistakes.push(wrong(format!("{path} is {}", shown(&node.raw)))),
        },
        Kind::List { clear, push, .. } => match list(node) {
            Some(items) => {
                clear(config);
                for item in &items {
                    if let Err(mistake) = read_item(config, setting, *push, item) {
                        mistakes.push(mistake);
                    }
                }
            }
            None => mistakes.push(wrong(format!("{path} is {}", shown(&node.raw)))),
        },
        Kind::Tables { read, .. } | Kind::Secret { read, .. } => read(config, node, mistakes),
    }
}

fn read_item(
    config: &mut Config,
    setting: &Setting,
    push: fn(&mut Config, &str) -> Result<(), String>,
    item: &Node,
) -> Result<(), Mistake> {
    let path = setting.path;
    let value = text(&item.raw).ok_or_else(|| {
        Mistake::new(&item.place, format!("{path} has {} in it", shown(&item.raw)), "every entry must be a string")
    })?;
    push(config, value).map_err(|right| Mistake::new(&item.place, format!("{path} has {value:?} in it"), right))
}

/// For messages; only of settings that are no secrets.
pub(super) fn shown(raw: &Raw) -> String {
    match raw {
        Raw::Loose(text) | Raw::Text(text) => format!("{text:?}"),
        Raw::Integer(value) => value.to_string(),
        Raw::Switch(on) => on.to_string(),
        other => other.kind().to_owned(),
    }
}

/// An address may have a password or a key in it, so only its beginning is shown.
fn without_secrets(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) if rest.contains(['@', '?']) => format!("{:?}", format!("{scheme}://…")),
        _ => format!("{text:?}"),
    }
}

fn integer(raw: &Raw) -> Option<i128> {
    match raw {
        Raw::Integer(value) => Some(*value),
        Raw::Loose(text) => text.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// `true` or `false`.
pub(super) fn switch(raw: &Raw) -> Option<bool> {
    match raw {
        Raw::Switch(on) => Some(*on),
        Raw::Loose(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// The text of a string value.
pub(super) fn text(raw: &Raw) -> Option<&str> {
    match raw {
        Raw::Text(text) | Raw::Loose(text) => Some(text),
        _ => None,
    }
}

/// The items of an array; from the environment also `a, b`.
pub(super) fn list(node: &Node) -> Option<Vec<Node>> {
    match &node.raw {
        Raw::List(items) => Some(items.clone()),
        Raw::Loose(text) if text.trim_start().starts_with('[') => match parse_value(&node.place, text.trim())?.raw {
            Raw::List(items) => Some(items),
            _ => None,
        },
        Raw::Loose(text) => Some(split(&node.place, text)),
        _ => None,
    }
}

fn split(place: &Place, text: &str) -> Vec<Node> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| Node { place: place.clone(), raw: Raw::Text(item.to_owned()) })
        .collect()
}
