//! An encoded event that many streams share.

use std::{cell::RefCell, sync::Arc};

use super::{
    encode::encode_with_id,
    event::Event,
    position::{Epoch, Position},
};

/// One event as bytes: its SSE text with an HTTP/1.1 chunk around it, encoded once and shared by every stream.
///
/// Layout: `<size in hex>\r\n` ... `\nid: <position>` `\n\n` `\r\n`.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Arc<[u8]>,
    sse_start: u32,
}

impl Frame {
    /// Encodes `event` with a position that is set later, by [`place`](Self::place).
    pub(crate) fn unplaced(event: &Event<'_>, epoch: Epoch) -> Self {
        Self::build(|out| encode_with_id(out, Some(&Position { epoch, seq: 0 }), event))
    }

    /// A frame around SSE text that is complete.
    pub(crate) fn from_sse(sse: &[u8]) -> Self {
        Self::build(|out| out.extend_from_slice(sse))
    }

    /// Writes into memory that is used again and again, so that a frame is one allocation and one copy.
    fn build(write_sse: impl FnOnce(&mut Vec<u8>)) -> Self {
        thread_local! {
            static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.clear();
            scratch.resize(SIZE_ROOM, 0);
            write_sse(scratch);
            let sse_bytes = scratch.len() - SIZE_ROOM;
            scratch.extend_from_slice(b"\r\n");
            // The size is known only now: it goes right before the text, in the room left for it.
            let mut start = SIZE_ROOM - 2;
            scratch[start..SIZE_ROOM].copy_from_slice(b"\r\n");
            let mut rest = sse_bytes;
            while rest > 0 || start == SIZE_ROOM - 2 {
                start -= 1;
                scratch[start] = b"0123456789abcdef"[rest & 15];
                rest >>= 4;
            }
            let frame = Self { bytes: Arc::from(&scratch[start..]), sse_start: (SIZE_ROOM - start) as u32 };
            scratch.shrink_to(KEEP_BYTES);
            frame
        })
    }

    /// Writes the sequence number into the `id` line. Only the owner of the sole reference can.
    pub(crate) fn place(&mut self, seq: u64) {
        let bytes = Arc::get_mut(&mut self.bytes).expect("a frame is placed before it is shared");
        // The id comes last in every encoded event, so its place in the bytes is known.
        let end = bytes.len() - b"\n\n\r\n".len();
        Position::write_seq(seq, &mut bytes[end - Position::TEXT_BYTES..end]);
    }

    /// The event with the chunk framing around it.
    pub fn chunked(&self) -> &[u8] {
        &self.bytes
    }

    /// The event alone.
    pub fn sse(&self) -> &[u8] {
        &self.bytes[self.sse_start as usize..self.bytes.len() - 2]
    }
}

/// Room for the size of a chunk: 16 digits and a line break.
const SIZE_ROOM: usize = 18;

/// What a thread keeps of its scratch memory after a large event.
const KEEP_BYTES: usize = 64 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode_event;

    #[test]
    fn sizes_are_hexadecimal_without_leading_zeros() {
        for (len, size) in [(0, "0"), (1, "1"), (15, "f"), (16, "10"), (0x1234, "1234"), (1 << 20, "100000")]
        {
            let frame = Frame::from_sse(&vec![b'x'; len]);
            assert!(frame.chunked().starts_with(format!("{size}\r\n").as_bytes()), "{len}");
            assert!(frame.chunked().ends_with(b"\r\n"));
            assert_eq!(frame.sse().len(), len);
        }
    }

    #[test]
    fn a_placed_frame_is_what_encoding_with_the_position_gives() {
        let event = Event::text("a\nb").name("n");
        let mut frame = Frame::unplaced(&event, Epoch(7));
        frame.place(0xabc);
        let direct = encode_event(Some("00000007-000000000abc"), &event);
        assert_eq!(frame.sse(), direct);
        assert_eq!(
            frame.chunked(),
            [format!("{:x}\r\n", direct.len()).as_bytes(), &direct, b"\r\n"].concat()
        );
    }
}
