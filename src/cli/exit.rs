//! How the program ends: codes after BSD's `sysexits.h`, which systemd and scripts tell apart.

use crate::config::Mistakes;
use std::process::ExitCode;

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: what was asked for is done.
    Done,
    /// 64: the command line cannot be understood.
    Usage,
    /// 65: data that was read is damaged or not what it should be.
    Data,
    /// 69: an address or a data directory is not to be had, or a server that is needed does not answer, or is not ready.
    Unavailable,
    /// 70: the program itself failed, or a disk did under it.
    Internal,
    /// 78: the configuration has mistakes. Starting again changes nothing.
    Config,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Config => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// A command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What was wrong and what would be right; never a secret.
    pub message: String,
}

impl Failure {
    /// A failure with a sentence for people.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::new(Exit::Config, mistakes.to_string())
    }
}
