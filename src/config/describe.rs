//! The table of settings as texts: a commented default file, and the names of the environment.

use super::{
    Config,
    schema::{Kind, Setting, settings},
};
use std::fmt::Write;

/// A TOML file with every setting, its meaning and its default; reads back as the default.
pub fn default_toml() -> String {
    let config = Config::default();
    let mut out = String::from("# Carillon's settings and their defaults. A line that begins with # sets nothing.\n");
    let mut section = "";
    for setting in settings() {
        let (its_section, key) = setting.split();
        if its_section != section {
            section = its_section;
            let _ = write!(out, "\n[{section}]\n");
        }
        for line in setting.doc.lines() {
            let _ = writeln!(out, "# {line}");
        }
        for line in lines(setting, key, &config) {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}

/// The setting as it stands in a file; commented out where there is no default to write.
fn lines(setting: &Setting, key: &str, config: &Config) -> Vec<String> {
    match &setting.kind {
        Kind::Integer { get, range, .. } => {
            vec![format!("# from {} to {}", range.start(), range.end()), format!("{key} = {}", get(config))]
        }
        Kind::Switch { get, .. } => vec![format!("{key} = {}", get(config))],
        Kind::Text { get, example, .. } => vec![match get(config) {
            Some(text) => format!("{key} = {}", toml::Value::String(text)),
            None => format!("# {key} = {}", toml::Value::String((*example).to_owned())),
        }],
        Kind::List { example, .. } => vec![format!("{key} = []"), format!("# {key} = {example}")],
        Kind::Secret { example: "", .. } => Vec::new(),
        Kind::Secret { example, .. } => vec![format!("# {key} = {}", toml::Value::String((*example).to_owned()))],
        Kind::Tables { example, .. } => example.lines().map(|line| format!("# {line}")).collect(),
    }
}

/// Every environment variable, its meaning and what it takes.
pub fn environment_help() -> String {
    let mut out = String::from(
        "The environment overrides the file and is overridden by flags.\n\
         Lists: a,b or [\"a\", \"b\"]. Tables: TOML, [{id = \"…\", …}], or JSON, [{\"id\": \"…\", …}].\n",
    );
    for setting in settings() {
        let _ = write!(out, "\n{}\n    {}\n    {}\n", setting.env_name(), setting.doc, setting.expects());
    }
    out
}
