//! Secrets of the configuration, and the files they stand in. No message quotes one.

use super::{
    keys::Table,
    limits::KEY_FILE_BYTES_MAX,
    mistake::{Mistake, Place},
    raw::Node,
    read::text,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{fs, io::Read, os::unix::fs::PermissionsExt};

/// How to make a secret, for messages.
pub(super) const MAKE_A_SECRET: &str = "make one with `head -c 32 /dev/urandom | base64` and write it as \"base64:…\"";
/// Shortest secret of a section.
const SECRET_BYTES_MIN: usize = 32;

/// Reads a section's own `secret`.
pub(super) fn read_secret(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<u8>> {
    let mut row = Table { setting, place: &node.place, entries: &[], mistakes };
    match text(&node.raw) {
        Some(secret) => check_secret(&mut row, (secret, &node.place), SECRET_BYTES_MIN),
        None => {
            row.wrong(&node.place, "secret", &format!("is {}", node.raw.kind()), MAKE_A_SECRET);
            None
        }
    }
}

/// Reads a section's own `secret_file`.
pub(super) fn read_secret_at(setting: &'static str, node: &Node, mistakes: &mut Vec<Mistake>) -> Option<Vec<u8>> {
    let mut row = Table { setting, place: &node.place, entries: &[], mistakes };
    match text(&node.raw).map(read_secret_file) {
        Some(Ok(secret)) => check_secret(&mut row, (&secret, &node.place), SECRET_BYTES_MIN),
        Some(Err(why)) => {
            row.wrong(&node.place, "secret_file", "is wrong", why);
            None
        }
        None => {
            row.wrong(&node.place, "secret_file", &format!("is {}", node.raw.kind()), "write a path");
            None
        }
    }
}

/// Decodes a secret; a mistake if it has fewer than `least` bytes.
pub(super) fn check_secret(row: &mut Table<'_>, (text, place): (&str, &Place), least: usize) -> Option<Vec<u8>> {
    let secret = match text.strip_prefix("base64:") {
        None => text.as_bytes().to_vec(),
        Some(encoded) => match STANDARD.decode(encoded.trim()) {
            Ok(bytes) => bytes,
            Err(_) => {
                row.wrong(place, "secret", "is no base64", "write base64: and standard base64 with padding");
                return None;
            }
        },
    };
    if secret.len() < least {
        let what = format!("has {} bytes, at least {least} are needed", secret.len());
        row.wrong(place, "secret", &what, MAKE_A_SECRET.replace("32", &least.to_string()));
        return None;
    }
    Some(secret)
}

/// Reads a secret's file; not one that everybody on the machine can read too.
pub(super) fn read_secret_file(path: &str) -> Result<String, String> {
    check_private(path)?;
    Ok(read_file(path, KEY_FILE_BYTES_MAX)?.trim_end_matches(['\r', '\n']).to_owned())
}

pub(super) fn check_private(path: &str) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|error| format!("{path} cannot be read: {error}"))?;
    if metadata.permissions().mode() & 0o004 != 0 {
        return Err(format!("{path} can be read by everybody: chmod o-r {path}"));
    }
    Ok(())
}

pub(super) fn read_file(path: &str, most: u64) -> Result<String, String> {
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text));
    read.map_err(|error| format!("{path} cannot be read: {error}"))?;
    if text.len() as u64 > most {
        return Err(format!("{path} has more than {most} bytes"));
    }
    Ok(text)
}
