//! The shape of files: small, about one thing, with a first line that says which; and nothing left to be written.

use super::source::{Source, Token, closing, is_word};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 80;
/// A table of cases is data: it may run on.
const TEST_LINES_MAX: usize = 120;

/// Longer files, each with a reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Longer functions: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Files and functions that are too long, files that don't say what they are for.
pub fn complaints(sources: &[Source]) -> Vec<String> {
    let mut said = Vec::new();
    for source in sources {
        if !source.text.starts_with("//! ") {
            said.push(format!("{} does not open with `//!`: say what it is for, what it promises", source.path));
        }
        let lines = source.text.lines().count();
        let is_excepted = LONG_FILES.iter().any(|(path, _)| *path == source.path);
        if lines > FILE_LINES_MAX && !is_excepted {
            said.push(format!("{} has {lines} lines, more than {FILE_LINES_MAX}: it is about two things", source.path));
        }
        let most = if source.is_test() { TEST_LINES_MAX } else { FUNCTION_LINES_MAX };
        for function in functions(&source.tokens) {
            let is_excepted =
                LONG_FUNCTIONS.iter().any(|(path, name, _)| *path == source.path && *name == function.name);
            if function.lines > most && !is_excepted {
                said.push(format!(
                    "{}:{} {} has {} lines, more than {most}: it does not fit a screen",
                    source.path, function.line, function.name, function.lines
                ));
            }
        }
    }
    said
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if pair[0].text != "fn" || !is_word(&pair[1].text) {
            continue;
        }
        let Some(open) = body(tokens, at) else { continue };
        let end = tokens.get(closing(tokens, open)).map_or(pair[0].line, |token| token.line);
        let line = pair[0].line;
        found.push(Function { name: pair[1].text.clone(), line, lines: end - line + 1 });
    }
    found
}

/// The brace that opens the body of the function at `start`; `None` for a declaration.
fn body(tokens: &[Token], start: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" if depth == 0 => return Some(at),
            ";" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Notes to self, and places of the machine that a text was written on.
pub fn leftovers(texts: &[(String, String)]) -> Vec<String> {
    // Put together here, so that this file has none of them.
    let notes = ["TO DO", "FIX ME"].map(|word| word.replace(' ', ""));
    let places = ["/wo rk/", "/ro ot/", "/tm p/ba sh"].map(|word| word.replace(' ', ""));
    let mut said = Vec::new();
    for (path, text) in texts {
        for (number, line) in text.lines().enumerate() {
            for found in notes.iter().chain(&places).filter(|word| line.contains(word.as_str())) {
                said.push(format!("{path}:{} says {found:?}", number + 1));
            }
        }
    }
    said
}
