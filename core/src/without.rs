//! Protections that tests take out, to see that what they are for is found. Only with the feature `__without`.

/// A protection of processes that share a journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "some are protections of a Redis"))]
pub(crate) enum Protection {
    /// A client that is ahead of its process waits.
    Ahead,
    /// What is lost is told at a place of its own.
    Markers,
    /// A hole in the places is a loss.
    Contiguity,
    /// What was appended is not appended again.
    Repeats,
}

/// Whether to do without it.
#[cfg(feature = "__without")]
pub(crate) fn without(protection: Protection) -> bool {
    static NAME: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("EVSTREAM_TEST_WITHOUT").unwrap_or_default());
    let name = match protection {
        Protection::Ahead => "ahead",
        Protection::Markers => "markers",
        Protection::Contiguity => "contiguity",
        Protection::Repeats => "repeats",
    };
    *NAME == name
}

#[cfg(not(feature = "__without"))]
pub(crate) const fn without(_: Protection) -> bool {
    false
}
