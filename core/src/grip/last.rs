//! What a proxy has last seen of each channel.

use crate::error::{Error, ErrorKind, Result};

/// One entry of a `Grip-Last` header.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Last {
    /// Name of the channel on the proxy; see [`Prefix::decode`](super::Prefix::decode).
    pub channel: String,
    /// The `id` of the last item that the proxy has seen on it, or the `prev-id` of the hold.
    pub last_id: String,
}

/// Reads `Grip-Last` headers: a header per channel, in any order, which servers may have joined with commas.
///
/// Proxies neither quote nor escape, so names and ids must hold no comma and no semicolon; see
/// [`Prefix::encode`](super::Prefix::encode). Fails with `invalid-argument`.
pub fn parse_grip_last<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Vec<Last>> {
    values
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(parse_entry)
        .collect()
}

fn parse_entry(entry: &str) -> Result<Last> {
    let mut parts = entry.split(';').map(str::trim);
    let channel = parts.next().filter(|channel| !channel.is_empty());
    let last_id = parts.find_map(|part| part.strip_prefix("last-id=")).map(str::trim);
    match (channel, last_id) {
        (Some(channel), Some(last_id)) => {
            Ok(Last { channel: channel.to_owned(), last_id: last_id.to_owned() })
        }
        _ => Err(Error::new(
            ErrorKind::InvalidArgument,
            "a Grip-Last header must be '<channel>; last-id=<id>', or several of these with commas between them",
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_joining_reads_the_same(
            entries in proptest::collection::vec(("[a-z%0-9:-]{1,9}", "[a-f0-9-]{0,9}"), 0..5),
        ) {
            let lines: Vec<String> = entries.iter().map(|(c, id)| format!("{c}; last-id={id}")).collect();
            let expected: Vec<Last> =
                entries.into_iter().map(|(channel, last_id)| Last { channel, last_id }).collect();
            prop_assert_eq!(&parse_grip_last(lines.iter().map(|line| &**line)).unwrap(), &expected);
            prop_assert_eq!(&parse_grip_last([&*lines.join(",")]).unwrap(), &expected);
        }

        #[test]
        fn never_panics(value in "([a-z;=, ]|last-id=|\\PC){0,20}") {
            let _ = parse_grip_last([&*value]);
        }
    }
}
