//! Bugs on purpose, to see that the tests of whole clusters find them (`tests/chaos/planted.sh`). They are there only in a build
//! with the feature `planted-bugs`, and even then only the one that `PLANTED_BUG` names. No release has the feature.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A session is let in before the other nodes know of it.
    GreetEarly,
    /// An edge that an earlier boot drew stands in for the one of the present boot.
    StaleEdge,
    /// A node that has lost its majority answers as if it had not.
    AnswerAlone,
    /// A node takes its own rows for all there is, though it may be behind.
    BelieveRows,
    /// A retry at another node is not known to be one.
    ForgetKey,
}

/// Whether the process has this bug.
#[cfg(feature = "planted-bugs")]
pub(crate) fn has(bug: Bug) -> bool {
    static PLANTED: std::sync::OnceLock<Option<Bug>> = std::sync::OnceLock::new();
    let planted = PLANTED.get_or_init(|| match std::env::var("PLANTED_BUG").ok()?.as_str() {
        "greet-early" => Some(Bug::GreetEarly),
        "stale-edge" => Some(Bug::StaleEdge),
        "answer-alone" => Some(Bug::AnswerAlone),
        "believe-rows" => Some(Bug::BelieveRows),
        "forget-key" => Some(Bug::ForgetKey),
        _ => None,
    });
    *planted == Some(bug)
}

/// Whether the process has this bug: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn has(_: Bug) -> bool {
    false
}
