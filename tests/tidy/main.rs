//! Reads the sources and says where they break the rules of the house (ARCHITECTURE.md, "What must never be").
//!
//! A rule is a function from sources to complaints, so each is tried on small bad samples here, too: a rule that
//! cannot fail proves nothing. It reads tokens, not types: what a macro makes or a glob import hides, it doesn't see.

mod arrows;
mod bans;
mod samples;
mod shape;
mod source;

use source::Source;
use std::path::Path;

/// Files under these, with the ending, below the workspace's root.
fn files(ending: &str, under: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<_> = under.iter().map(|dir| root.join(dir)).collect();
    let mut found = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a readable directory");
            waiting.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.to_string_lossy().ends_with(ending) {
            let shown = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            // Sockets and links that lead nowhere are no sources.
            found.extend(std::fs::read_to_string(&path).ok().map(|text| (shown, text)));
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<Source> {
    let files = files(".rs", &["src", "storage/src", "storage/tests", "bench", "examples", "tests"]);
    assert!(files.len() > 100, "the sources were not found: {} files", files.len());
    files.iter().map(|(path, text)| Source::read(path, text)).collect()
}

fn nothing_to_say(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n  {}\n", complaints.len(), complaints.join("\n  "));
}

#[test]
fn nothing_is_named_where_it_must_not_be() {
    nothing_to_say(&bans::complaints(&sources()));
}

#[test]
fn arrows_between_modules_run_one_way() {
    nothing_to_say(&arrows::complaints(&sources()));
}

#[test]
fn files_are_small_say_what_they_are_for_and_hold_functions_that_fit_a_screen() {
    nothing_to_say(&shape::complaints(&sources()));
}

#[test]
fn no_text_is_left_to_be_written_and_none_names_the_machine_it_was_written_on() {
    let root = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Makefile",
        "deny.toml",
        "Cargo.toml",
        "static",
        "examples",
        "src",
        "storage/src",
        "bench",
        "tests",
        ".ci",
    ];
    let mut texts = Vec::new();
    for ending in [".md", ".toml", ".rs", ".js", ".mjs", ".css", ".html", ".py", ".sh", "Makefile", "run", ".conf"] {
        texts.extend(files(ending, &root));
    }
    nothing_to_say(&shape::leftovers(&texts));
}
