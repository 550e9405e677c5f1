//! One response as its bytes come in: the head is checked, and chunk framing is taken out in place, so that the scan for
//! events sees the content as the server wrote it, wherever a proxy cut it.

use anyhow::{Context, Result, bail, ensure};
use memchr::{memchr, memmem};

/// One response, read as far as it has come.
#[derive(Debug)]
pub(crate) struct Body {
    /// The head as far as it has come; `None` once it is whole.
    head: Option<Vec<u8>>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    /// In a size line whose beginning, from an earlier read, is kept.
    Size(Vec<u8>),
    /// In a chunk, with so many bytes to come: content, then the CRLF after it.
    Chunk { content: usize, ending: usize },
    /// Without chunks: all that follows is content.
    Plain,
}

impl Body {
    pub(crate) fn new() -> Self {
        Self { head: Some(Vec::new()), framing: Framing::Plain }
    }

    /// Whether the whole head has been seen.
    pub(crate) fn is_open(&self) -> bool {
        self.head.is_none()
    }

    /// Moves the content among `bytes` to the front and returns its length.
    pub(crate) fn strip(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let mut from = 0;
        if let Some(head) = &mut self.head {
            let Some((framing, body_start)) = read_head(head, bytes)? else { return Ok(0) };
            *self = Self { head: None, framing };
            from = body_start;
        }
        let mut to = 0;
        while from < bytes.len() {
            match &mut self.framing {
                Framing::Plain => {
                    bytes.copy_within(from.., to);
                    return Ok(to + bytes.len() - from);
                }
                Framing::Size(begun) => {
                    let Some(length) = memchr(b'\n', &bytes[from..]) else {
                        begun.extend_from_slice(&bytes[from..]);
                        ensure!(
                            begun.len() <= MAX_SIZE_LINE,
                            "a chunk size line is over {MAX_SIZE_LINE} bytes"
                        );
                        break;
                    };
                    let line = &bytes[from..from + length];
                    let content =
                        if begun.is_empty() { chunk_size(line) } else { chunk_size(&[begun, line].concat()) };
                    self.framing = Framing::Chunk { content: content?, ending: CRLF.len() };
                    from += length + 1;
                }
                Framing::Chunk { content: 0, ending } => {
                    let now = (*ending).min(bytes.len() - from);
                    let expected = &CRLF[CRLF.len() - *ending..][..now];
                    ensure!(
                        bytes[from..from + now] == *expected,
                        "a chunk does not end with CRLF: its size was wrong"
                    );
                    from += now;
                    *ending -= now;
                    if *ending == 0 {
                        self.framing = Framing::Size(Vec::new());
                    }
                }
                Framing::Chunk { content, .. } => {
                    let now = (*content).min(bytes.len() - from);
                    bytes.copy_within(from..from + now, to);
                    *content -= now;
                    (from, to) = (from + now, to + now);
                }
            }
        }
        Ok(to)
    }
}

const CRLF: &[u8] = b"\r\n";
const MAX_SIZE_LINE: usize = 32;
const MAX_HEAD: usize = 16 * 1024;

/// The framing and where in `bytes` the body starts; `None` while the head goes on.
fn read_head(head: &mut Vec<u8>, bytes: &[u8]) -> Result<Option<(Framing, usize)>> {
    let before = head.len();
    head.extend_from_slice(bytes);
    let Some(end) = memmem::find(head, b"\r\n\r\n") else {
        ensure!(head.len() <= MAX_HEAD, "the response head is over {MAX_HEAD} bytes");
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
    let status = text.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("the server answered {:?}", text.lines().next().unwrap_or_default());
    }
    ensure!(
        text.contains("content-type: text/event-stream"),
        "the answer is not text/event-stream: {text:?}"
    );
    let chunked = text.lines().any(|line| line.starts_with("transfer-encoding:") && line.contains("chunked"));
    let framing = if chunked { Framing::Size(Vec::new()) } else { Framing::Plain };
    Ok(Some((framing, end + 4 - before)))
}

fn chunk_size(line: &[u8]) -> Result<usize> {
    let text = String::from_utf8_lossy(line);
    let digits = text.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(digits, 16).with_context(|| format!("{text:?} is not a chunk size"))?;
    ensure!(size > 0, "the server ended the stream");
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

    fn content(pieces: &[&[u8]]) -> Result<Vec<u8>> {
        let mut body = Body::new();
        let mut all = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let length = body.strip(&mut bytes)?;
            all.extend_from_slice(&bytes[..length]);
        }
        Ok(all)
    }

    #[test]
    fn chunks_cut_anywhere_give_the_same_content() {
        let wire = format!(
            "{HEAD}Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0a;x=y\r\n0123456789\r\n1\r\n\n\r\n"
        );
        for cut in 0..wire.len() {
            let (a, b) = wire.as_bytes().split_at(cut);
            assert_eq!(content(&[a, b]).unwrap(), b"abc0123456789\n", "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
        assert_eq!(content(&bytes).unwrap(), b"abc0123456789\n");
    }

    #[test]
    fn without_chunks_the_rest_is_content() {
        let wire = format!("{HEAD}\r\nabc");
        assert_eq!(content(&[wire.as_bytes(), b"def"]).unwrap(), b"abcdef");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
        for (wire, expected) in [
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n".to_owned(), "503"),
            ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n".to_owned(), "not text/event-stream"),
            (format!("{chunked}xyz\r\n"), "not a chunk size"),
            (format!("{chunked}2\r\nabc\r\n"), "does not end with CRLF"),
            (format!("{chunked}0\r\n\r\n"), "ended the stream"),
            (format!("{chunked}{}", "1".repeat(40)), "size line is over"),
        ] {
            let error = content(&[wire.as_bytes()]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
