//! File < environment < flags, and every mistake of all three at once.

use super::{
    Config,
    checks::check,
    limits::CONFIG_BYTES_MAX,
    mistake::{Mistake, Mistakes, Place, nearest, suggest},
    raw::{Entry, Node, Raw, parse_file},
    read::read,
    schema::{Setting, settings},
};
use std::{collections::HashMap, fs, io::Read, path::Path, sync::Arc};

/// A setting that was given on the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As it was written: `--listen`.
    pub name: &'static str,
    /// The setting that it sets: `server.listen`.
    pub path: &'static str,
    /// Its value, as text.
    pub value: String,
}

/// Reads the settings of one node.
///
/// Of `env`, only names that begin with `CARILLON_` and hold `__` are read.
///
/// # Errors
/// Every mistake, each with its place and what would be right.
pub fn load(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Config, Mistakes> {
    let mut loader = Loader::default();
    if let Some(path) = file {
        loader.file(path);
    }
    loader.environment(env);
    for flag in flags {
        loader.flag(flag);
    }
    loader.finish()
}

/// The places of settings that were given, for mistakes that concern two of them.
pub(super) type Places = HashMap<&'static str, Place>;

#[derive(Default)]
struct Loader {
    config: Config,
    places: Places,
    mistakes: Vec<Mistake>,
}

impl Loader {
    fn file(&mut self, path: &Path) {
        let name: Arc<str> = path.display().to_string().into();
        match read_file(path) {
            Ok(text) => self.toml(&name, &text),
            Err(why) => {
                let place = Place::WholeFile(name);
                self.mistakes.push(Mistake::new(&place, why, "name a TOML file with --config"));
            }
        }
    }

    fn toml(&mut self, file: &Arc<str>, text: &str) {
        let (sections, syntax) = parse_file(file, text);
        let broken: Vec<usize> = syntax.iter().filter_map(|mistake| line(&mistake.place)).collect();
        self.mistakes.extend(syntax);
        let before = self.mistakes.len();
        for section in &sections {
            self.section(section);
        }
        // What a line with a syntax error seems to say is not worth a second complaint.
        let follow_ups = self.mistakes.split_off(before);
        let independent = |mistake: &Mistake| line(&mistake.place).is_none_or(|at| !broken.contains(&at));
        self.mistakes.extend(follow_ups.into_iter().filter(independent));
    }

    fn section(&mut self, section: &Entry) {
        let name = section.key.as_str();
        let known: Vec<&str> = section_names();
        if !known.contains(&name) {
            let right = match settings().find(|setting| setting.split().1 == name) {
                Some(setting) => format!("`{name}` belongs under [{}]", setting.split().0),
                None => suggest(name, known),
            };
            self.mistakes.push(Mistake::new(&section.place, format!("there is no section or setting {name:?}"), right));
            return;
        }
        let Raw::Table(entries) = &section.value.raw else {
            let what = format!("{name} is {}", section.value.raw.kind());
            self.mistakes.push(Mistake::new(&section.place, what, format!("write a section, [{name}]")));
            return;
        };
        for entry in entries {
            match setting(&format!("{name}.{}", entry.key)) {
                Some(setting) => self.set(setting, &entry.value),
                None => self.unknown(name, entry),
            }
        }
    }

    fn unknown(&mut self, section: &str, entry: &Entry) {
        let elsewhere = settings().find(|setting| setting.split().1 == entry.key);
        let siblings: Vec<&str> =
            settings().map(Setting::split).filter(|(other, _)| *other == section).map(|(_, key)| key).collect();
        let right = match elsewhere {
            Some(setting) => format!("did you mean `{}`?", setting.path),
            None => suggest(&entry.key, siblings),
        };
        let what = format!("there is no setting {:?}", format!("{section}.{}", entry.key));
        self.mistakes.push(Mistake::new(&entry.place, what, right));
    }

    fn environment(&mut self, env: impl Iterator<Item = (String, String)>) {
        let mut ours: Vec<_> = env.filter(|(name, _)| name.starts_with("CARILLON_")).collect();
        ours.sort();
        let names: Vec<String> = settings().map(Setting::env_name).collect();
        for (name, value) in ours {
            let place = Place::Env(name.as_str().into());
            if let Some(setting) = settings().find(|setting| setting.env_name() == name) {
                self.set(setting, &Node { place, raw: Raw::Loose(value) });
            } else if let Some(right) = probably_meant(&name, &names) {
                self.mistakes.push(Mistake::new(&place, "there is no such setting", right));
            }
        }
    }

    fn flag(&mut self, flag: &Flag) {
        let node = Node { place: Place::Flag(flag.name), raw: Raw::Loose(flag.value.clone()) };
        match setting(flag.path) {
            Some(setting) => self.set(setting, &node),
            None => self.mistakes.push(Mistake::new(
                &node.place,
                format!("there is no setting {:?}", flag.path),
                suggest(flag.path, settings().map(|setting| setting.path)),
            )),
        }
    }

    fn set(&mut self, setting: &'static Setting, node: &Node) {
        self.places.insert(setting.path, node.place.clone());
        read(&mut self.config, setting, node, &mut self.mistakes);
    }

    fn finish(mut self) -> Result<Config, Mistakes> {
        self.mistakes.extend(check(&self.config, &self.places));
        if self.mistakes.is_empty() { Ok(self.config) } else { Err(Mistakes(self.mistakes)) }
    }
}

fn setting(path: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.path == path)
}

fn section_names() -> Vec<&'static str> {
    let mut names: Vec<_> = settings().map(|setting| setting.split().0).collect();
    names.dedup();
    names
}

/// A name with `__` is meant for us. One without is only if the underscores alone are wrong: Kubernetes sets
/// `CARILLON_SERVICE_HOST` and the like for every service that is called carillon.
fn probably_meant(name: &str, names: &[String]) -> Option<String> {
    let flat = |name: &str| name.replace('_', "");
    if let Some(same) = names.iter().find(|known| flat(known) == flat(name)) {
        return Some(format!("did you mean `{same}`?"));
    }
    name.contains("__").then(|| match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`carillon config env` lists them all".into(),
    })
}

fn line(place: &Place) -> Option<usize> {
    if let Place::File { line, .. } = place { Some(*line) } else { None }
}

fn read_file(path: &Path) -> Result<String, String> {
    let file = fs::File::open(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if text.len() as u64 > CONFIG_BYTES_MAX {
        return Err(format!("the file is larger than {CONFIG_BYTES_MAX} bytes"));
    }
    Ok(text)
}
