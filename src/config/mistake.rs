//! What is wrong with a configuration: where, what, and what would be right.

use std::{fmt, sync::Arc};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A position in the file; lines and columns count from 1.
    File {
        /// As it was named on the command line.
        file: Arc<str>,
        /// 1 is the first.
        line: usize,
        /// In characters; 1 is the first.
        column: usize,
    },
    /// The file as a whole.
    WholeFile(Arc<str>),
    /// An environment variable.
    Env(Arc<str>),
    /// A flag of the command line.
    Flag(&'static str),
    /// It was not given at all.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::WholeFile(file) => f.write_str(file),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Nowhere => f.write_str("not set"),
        }
    }
}

/// One mistake. Never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}; {right}")]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What was found, with the name of the setting.
    pub what: String,
    /// What would be right.
    pub right: String,
}

impl Mistake {
    /// A mistake at a place.
    pub(super) fn new(place: &Place, what: impl Into<String>, right: impl Into<String>) -> Self {
        Self { place: place.clone(), what: what.into(), right: right.into() }
    }
}

/// Every mistake that was found, in the order of its discovery; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        writeln!(f, "{count} mistake{} in the configuration:", if count == 1 { "" } else { "s" })?;
        self.0.iter().try_for_each(|mistake| writeln!(f, "  {mistake}"))
    }
}

/// The name that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let enough = name.len() / 4 + 1;
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name.to_ascii_lowercase(), &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= enough)
        .min()
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?", or the whole list when nothing is near.
pub(super) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known are: {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}
