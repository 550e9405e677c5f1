//! Content negotiation: does a client take a stream? (RFC 9110 section 12.5.1)

use super::request::Request;
use crate::wire::protocol::CONTENT_TYPE;

/// Whether the `Accept` headers allow `text/event-stream`; none at all allows everything.
pub(super) fn accepts_stream(request: &Request<'_>) -> bool {
    let mut any = false;
    // The most specific range that matches decides, whatever its place in the list.
    let mut best = (0, false);
    for range in request.header_values("accept").flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or("");
        if kind.is_empty() {
            continue;
        }
        any = true;
        let specificity = match kind.to_ascii_lowercase().as_str() {
            CONTENT_TYPE => 3,
            "text/*" => 2,
            "*/*" => 1,
            _ => continue,
        };
        let wanted = !parts.any(is_zero_quality);
        if specificity >= best.0 {
            best = (specificity, wanted);
        }
    }
    !any || best.1
}

fn is_zero_quality(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(values: &[&str]) -> bool {
        let headers: Vec<(&str, &[u8])> = values.iter().map(|value| ("Accept", value.as_bytes())).collect();
        accepts_stream(&Request { method: "GET", path: "/", query: "", headers: &headers, peer: None })
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
}
