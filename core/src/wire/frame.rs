//! An encoded event that many streams share.

use std::sync::Arc;

use super::{
    encode::encode_into,
    event::Event,
    position::{Epoch, Position},
};

/// One event as bytes: its SSE text with an HTTP/1.1 chunk around it, encoded once and shared by every stream.
///
/// Layout: `<size in hex>\r\n` `id: <position>\n` ... `\n\n` `\r\n`.
#[derive(Clone, Debug)]
pub struct Frame {
    bytes: Arc<[u8]>,
    sse_start: u32,
}

impl Frame {
    /// Encodes `event` with a position that is set later, by [`place`](Self::place).
    pub(crate) fn unplaced(event: &Event<'_>, epoch: Epoch) -> Self {
        let id = Position { epoch, seq: 0 }.to_string();
        let mut sse = Vec::with_capacity(event.data.len() + 96);
        encode_into(&mut sse, Some(&id), event);
        Self::from_sse(&sse)
    }

    /// A frame around SSE text that is complete.
    pub(crate) fn from_sse(sse: &[u8]) -> Self {
        let size = format!("{:x}\r\n", sse.len());
        let bytes: Arc<[u8]> = [size.as_bytes(), sse, b"\r\n"].concat().into();
        Self { bytes, sse_start: size.len() as u32 }
    }

    /// Writes the sequence number into the `id` line. Only the owner of the sole reference can.
    pub(crate) fn place(&mut self, seq: u64) {
        let start = self.sse_start as usize + ID_FIELD.len();
        let bytes = Arc::get_mut(&mut self.bytes).expect("a frame is placed before it is shared");
        Position::write_seq(seq, &mut bytes[start..start + Position::TEXT_BYTES]);
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

/// The id comes first in every encoded event, so its place in the bytes is known.
pub(crate) const ID_FIELD: &[u8] = b"id: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placed_frame_is_what_encoding_with_the_position_gives() {
        let event = Event::text("a\nb").name("n");
        let mut frame = Frame::unplaced(&event, Epoch(7));
        frame.place(0xabc);
        let mut direct = Vec::new();
        encode_into(&mut direct, Some("00000007-000000000abc"), &event);
        assert_eq!(frame.sse(), direct);
        assert_eq!(
            frame.chunked(),
            [format!("{:x}\r\n", direct.len()).as_bytes(), &direct, b"\r\n"].concat()
        );
    }
}
