//! The result of a check.

/// The result of a check: the behavior of the node, or why the check did not pass.
pub(crate) type Check = Result<String, Finding>;

/// The reason why a check did not pass.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The node violates the rule. Contains its behavior.
    Broken(String),
    /// The rule does not apply to the node. Contains the reason.
    Skipped(String),
    /// No connection could be opened. Contains the reason.
    Unreachable(String),
}

impl Finding {
    pub(crate) fn broken<T>(received: impl Into<String>) -> Result<T, Self> {
        Err(Self::Broken(received.into()))
    }

    pub(crate) fn skipped<T>(reason: impl Into<String>) -> Result<T, Self> {
        Err(Self::Skipped(reason.into()))
    }

    pub(crate) fn into_text(self) -> String {
        match self {
            Finding::Broken(text) | Finding::Skipped(text) | Finding::Unreachable(text) => text,
        }
    }
}
