//! Content negotiation: does a client take a stream? (RFC 9110 section 12.5.1)

use super::request::Request;
use crate::wire::protocol::CONTENT_TYPE;

/// Whether the `Accept` headers allow `text/event-stream`; none at all allows everything.
pub(super) fn accepts_stream(request: &Request<'_>) -> bool {
    let mut any = false;
    // The most specific range that matches decides, whatever its place in the list.
    let mut best = (0, false);
    for (kind, wanted) in ranges(request) {
        any = true;
        let specificity = match kind.to_ascii_lowercase().as_str() {
            CONTENT_TYPE => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        if specificity >= best.0 {
            best = (specificity, wanted);
        }
    }
    !any || best.1
}

/// Whether they ask for `text/event-stream` by its name, as clients of streams do.
pub(super) fn names_stream(request: &Request<'_>) -> bool {
    ranges(request).any(|(kind, wanted)| wanted && kind.eq_ignore_ascii_case(CONTENT_TYPE))
}

/// Whether they ask for `kind` by its name, and for `other` no more than for that.
#[cfg(feature = "runtime")]
pub(crate) fn prefers(request: &Request<'_>, kind: &str, other: &str) -> bool {
    let quality = |wanted: &str| {
        let ranges = request.header_values("accept").flat_map(|value| value.split(','));
        let qualities = ranges.filter_map(|range| quality_of(range, wanted));
        qualities.fold(0.0, f32::max)
    };
    let wanted = quality(kind);
    wanted > 0.0 && wanted >= quality(other)
}

/// How much a media range wants `kind`, if it is of that and of a version that we have.
#[cfg(feature = "runtime")]
fn quality_of(range: &str, kind: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    parts.next().filter(|name| name.eq_ignore_ascii_case(kind))?;
    let mut quality = 1.0;
    for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "q" => quality = value.trim().parse().unwrap_or(0.0),
            "version" if !["1.0.0", "0.0.4"].contains(&value.trim().trim_matches('"')) => return None,
            _ => {}
        }
    }
    Some(quality)
}

/// The media ranges, and whether they are wanted.
fn ranges<'a>(request: &Request<'a>) -> impl Iterator<Item = (&'a str, bool)> {
    request.header_values("accept").flat_map(|value| value.split(',')).filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().filter(|kind| !kind.is_empty())?;
        Some((kind, !parts.any(is_zero_quality)))
    })
}

fn is_zero_quality(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<T>(values: &[&str], ask: impl FnOnce(&Request<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> = values.iter().map(|value| ("Accept", value.as_bytes())).collect();
        ask(&Request { method: "GET", path: "/", query: "", headers: &headers, peer: None })
    }

    fn accepts(values: &[&str]) -> bool {
        ask(values, accepts_stream)
    }

    #[test]
    fn ranges() {
        for yes in
            ["text/event-stream", "*/*", "text/*", "text/html, TEXT/EVENT-STREAM;q=0.1", "", "text/*;q=0.5"]
        {
            assert!(accepts(&[yes]), "{yes}");
        }
        for no in ["text/html", "application/json, image/*", "text/event-stream;q=0, */*", "*/*;q=0.0"] {
            assert!(!accepts(&[no]), "{no}");
        }
        assert!(accepts(&[]));
        assert!(accepts(&["text/html", "text/event-stream"]));
    }

    #[cfg(feature = "runtime")]
    #[test]
    fn the_better_of_two() {
        let openmetrics = |accept: &str| {
            ask(&[accept], |request| prefers(request, "application/openmetrics-text", "text/plain"))
        };
        for yes in [
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.6",
            "text/plain, application/openmetrics-text",
        ] {
            assert!(openmetrics(yes), "{yes}");
        }
        for no in [
            "",
            "*/*",
            "application/*",
            "text/plain;q=0.9, application/openmetrics-text;q=0.8",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=much",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-texts",
        ] {
            assert!(!openmetrics(no), "{no}");
        }
    }

    #[test]
    fn a_name_is_more_than_a_range() {
        for yes in ["text/event-stream", "text/html, TEXT/EVENT-STREAM;q=0.1", "text/event-stream, */*;q=0"] {
            assert!(ask(&[yes], names_stream), "{yes}");
        }
        for no in ["*/*", "text/*", "", "text/event-streams", "text/event-stream;q=0, */*"] {
            assert!(!ask(&[no], names_stream), "{no}");
        }
        assert!(!ask(&[], names_stream));
        assert!(ask(&["*/*", "text/event-stream"], names_stream));
    }
}
