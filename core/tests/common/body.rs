//! Response bodies without their transfer framing, from bytes that may be cut anywhere.

/// How a body is delimited, and how far it was read.
#[derive(Debug)]
pub enum Unframe {
    Chunked { state: Chunk, size: Vec<u8> },
    Length(usize),
    UntilClose,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chunk {
    Size,
    Data(usize),
    DataEnd,
    Last,
    Over,
}

impl Unframe {
    pub fn chunked() -> Self {
        Self::Chunked { state: Chunk::Size, size: Vec::new() }
    }

    /// Whether the framing says that the body is complete.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Chunked { state: Chunk::Over, .. } | Self::Length(0))
    }

    /// Takes the body's bytes from the front of `input`, up to its end. Panics when the framing is broken.
    pub fn take(&mut self, input: &mut Vec<u8>) -> Vec<u8> {
        match self {
            Self::UntilClose => std::mem::take(input),
            Self::Length(left) => {
                let taken: Vec<u8> = input.drain(..input.len().min(*left)).collect();
                *left -= taken.len();
                taken
            }
            Self::Chunked { state, size } => {
                let (mut at, mut out) = (0, Vec::new());
                while at < input.len() && *state != Chunk::Over {
                    at += step(state, size, &input[at..], &mut out);
                }
                input.drain(..at);
                out
            }
        }
    }
}

/// Takes one byte of framing, or a run of data; gives back how many bytes that was.
fn step(state: &mut Chunk, size: &mut Vec<u8>, input: &[u8], out: &mut Vec<u8>) -> usize {
    match state {
        Chunk::Size if input[0] == b'\n' => {
            let digits = size.strip_suffix(b"\r").expect("a chunk's size ends with CRLF");
            let text = std::str::from_utf8(digits).expect("a chunk's size is text");
            let bytes = usize::from_str_radix(text, 16).expect("a chunk's size is hexadecimal");
            size.clear();
            *state = if bytes == 0 { Chunk::Last } else { Chunk::Data(bytes) };
            1
        }
        Chunk::Size => {
            size.push(input[0]);
            assert!(size.len() <= 17, "a chunk's size is short, not {size:?}");
            1
        }
        Chunk::Data(left) => {
            let taken = input.len().min(*left);
            out.extend_from_slice(&input[..taken]);
            *left -= taken;
            if *left == 0 {
                *state = Chunk::DataEnd;
            }
            taken
        }
        Chunk::DataEnd | Chunk::Last => {
            let expected = b"\r\n"[size.len()];
            assert_eq!(input[0], expected, "a chunk ends with CRLF");
            size.push(input[0]);
            if size.len() == 2 {
                size.clear();
                *state = if *state == Chunk::Last { Chunk::Over } else { Chunk::Size };
            }
            1
        }
        Chunk::Over => 0,
    }
}
