//! What a check finds.

/// The result of a check: what the node did, if that keeps the rule.
pub(crate) type Check = Result<String, Finding>;

/// Why a check did not end in a kept rule.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The node does not keep the rule; what it did instead.
    Broken(String),
    /// The rule does not apply to the node; the reason.
    Skipped(String),
    /// No connection could be opened; the reason.
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
