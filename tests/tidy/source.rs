//! A Rust file as tokens: comments, strings and `#[cfg(test)]` items gone, paths written out in full.

use std::collections::HashMap;

/// One file.
pub struct Source {
    /// From the workspace's root, with `/`.
    pub path: String,
    /// As it stands.
    pub text: String,
    /// What the compiler sees outside tests.
    pub tokens: Vec<Token>,
}

/// A word or a sign, and the line it stands in (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

/// A path as it would be written without any `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPath {
    pub text: String,
    pub line: usize,
}

impl Source {
    pub fn read(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tokens: without_tests(&tokens(text)) }
    }

    /// Whether it is part of the tests as a whole.
    pub fn is_test(&self) -> bool {
        let dirs = self.path.split('/').any(|part| part == "tests");
        dirs || self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs")
    }

    /// `["broker", "shard"]` for `src/broker/shard.rs`; empty outside `src`.
    pub fn module(&self) -> Vec<&str> {
        let Some(inner) = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")) else {
            return Vec::new();
        };
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }

    /// Every path in `use` items and in code, imports resolved.
    pub fn paths(&self) -> Vec<FullPath> {
        let mut imported = HashMap::new();
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.tokens.len() {
            let starts_use = self.word(at) == "use" && self.word(at.wrapping_sub(1)) != "::";
            if starts_use {
                at = self.use_tree((at + 1, ""), &mut imported, &mut found);
            } else {
                at = self.path_at(at, &imported, &mut found);
            }
        }
        for path in &mut found {
            path.text = self.without_super(&path.text);
        }
        found
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// One path in code; answers where to go on.
    fn path_at(&self, start: usize, imported: &HashMap<String, String>, found: &mut Vec<FullPath>) -> usize {
        let first = self.word(start);
        let line = self.tokens[start].line;
        if !is_word(first) {
            return start + 1;
        }
        let mut text = imported.get(first).cloned().unwrap_or_else(|| first.to_owned());
        let mut at = start + 1;
        while self.word(at) == "::" && is_word(self.word(at + 1)) {
            text = format!("{text}::{}", self.word(at + 1));
            at += 2;
        }
        found.push(FullPath { text, line });
        at
    }

    /// One branch of a `use` tree, `prefix` written before it; answers where to go on.
    fn use_tree(
        &self,
        (mut at, prefix): (usize, &str),
        imported: &mut HashMap<String, String>,
        found: &mut Vec<FullPath>,
    ) -> usize {
        let mut path = prefix.to_owned();
        while at < self.tokens.len() {
            let line = self.tokens[at].line;
            match self.word(at) {
                "::" => {}
                "{" => {
                    at += 1;
                    while !matches!(self.word(at), "}" | "") {
                        at = self.use_tree((at, &path), imported, found);
                        at += usize::from(self.word(at) == ",");
                    }
                    return at + 1;
                }
                word if is_word(word) && word != "as" => {
                    if word != "self" || path.is_empty() {
                        path = if path.is_empty() { word.to_owned() } else { format!("{path}::{word}") };
                    }
                    let (mut name, next) = (path.rsplit("::").next().unwrap_or_default(), self.word(at + 1));
                    if next == "as" {
                        name = self.word(at + 2);
                        at += 2;
                    }
                    if self.word(at + 1) != "::" {
                        imported.insert(name.to_owned(), self.without_super(&path));
                        found.push(FullPath { text: path, line });
                        return at + 1;
                    }
                }
                _ => return at + 1,
            }
            at += 1;
        }
        at
    }

    /// `super::x` and `self::x` as `crate::…::x`.
    fn without_super(&self, path: &str) -> String {
        let mut module = self.module();
        // A file's own module is one deeper than the directory of a `mod.rs`, so `super` always drops one.
        let mut parts = path.split("::").peekable();
        if !matches!(parts.peek(), Some(&("super" | "self"))) || !self.path.starts_with("src/") {
            return path.to_owned();
        }
        while let Some(part) = parts.next_if(|part| matches!(*part, "super" | "self")) {
            if part == "super" {
                module.pop();
            }
        }
        ["crate"].into_iter().chain(module).chain(parts).collect::<Vec<_>>().join("::")
    }
}

pub fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words and signs; comments, literals of text and lifetimes are passed over.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let end = match skipped(&chars, at) {
            Some(end) => end,
            None if chars[at].is_alphanumeric() || chars[at] == '_' => {
                let length = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
                found.push(Token { text: chars[at..at + length].iter().collect(), line });
                at + length
            }
            None if chars[at].is_whitespace() => at + 1,
            None => {
                let length = if chars[at..].starts_with(&[':', ':']) { 2 } else { 1 };
                found.push(Token { text: chars[at..at + length].iter().collect(), line });
                at + length
            }
        };
        let end = end.min(chars.len());
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

/// Where a comment, a string, a character or a lifetime that begins at `at` ends.
fn skipped(chars: &[char], at: usize) -> Option<usize> {
    let from = |start: usize, until: &dyn Fn(usize) -> bool| (start..chars.len()).find(|i| until(*i));
    let text =
        |i: usize, expected: &str| expected.chars().enumerate().all(|(offset, c)| chars.get(i + offset) == Some(&c));
    if text(at, "//") {
        return Some(from(at, &|i| chars[i] == '\n').unwrap_or(chars.len()));
    }
    if text(at, "/*") {
        return Some(from(at + 2, &|i| text(i, "*/")).map_or(chars.len(), |end| end + 2));
    }
    if (text(at, "r\"") || text(at, "r#")) && !(at > 0 && is_word(&chars[at - 1].to_string())) {
        let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
        if chars.get(at + 1 + hashes) != Some(&'"') {
            // A raw name, r#type.
            return Some(at + 2);
        }
        let closing = format!("\"{}", "#".repeat(hashes));
        let end = from(at + 2 + hashes, &|i| text(i, &closing));
        return Some(end.map_or(chars.len(), |end| end + 1 + hashes));
    }
    if chars[at] == '"' {
        let mut i = at + 1;
        while i < chars.len() && chars[i] != '"' {
            i += if chars[i] == '\\' { 2 } else { 1 };
        }
        return Some(i + 1);
    }
    if chars[at] == '\'' {
        if chars.get(at + 1) == Some(&'\\') {
            return Some(from(at + 3, &|i| chars[i] == '\'').map_or(chars.len(), |end| end + 1));
        }
        // A character, or a lifetime.
        return Some(if chars.get(at + 2) == Some(&'\'') { at + 3 } else { at + 1 });
    }
    None
}

/// Without the items under `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let is = |at: usize, text: &str| tokens.get(at).is_some_and(|token| token.text == text);
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if MARK.iter().enumerate().all(|(offset, text)| is(at + offset, text)) {
            at += MARK.len();
            while at < tokens.len() && !is(at, ";") && !is(at, "{") {
                at += 1;
            }
            at = if is(at, "{") { closing(tokens, at) + 1 } else { at + 1 };
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The index of the brace that closes the one at `open`.
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}
