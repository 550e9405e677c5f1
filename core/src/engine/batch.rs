//! Events laid out once for all streams that are at the same place.

use std::sync::Arc;

use super::framing::Framing;
use crate::{log::Item, stream::Delivered};

/// A run of events as one piece of memory, so that a stream takes it with a single write.
///
/// Copying the frames together costs less than a vectored write of them does, as soon as two streams want them.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    chunked: Layout,
    plain: Layout,
    /// Where is counted what is written of it.
    pub(super) delivered: Arc<Delivered>,
}

#[derive(Default)]
struct Layout {
    bytes: Vec<u8>,
    /// Where each item ends.
    ends: Vec<usize>,
}

/// How far a write got.
pub(super) struct Progress {
    /// Items that were written whole.
    pub(super) whole: usize,
    /// Bytes of the next item that were written.
    pub(super) into_next: usize,
}

impl Batch {
    pub(super) fn new(delivered: &Arc<Delivered>) -> Self {
        Self { delivered: delivered.clone(), ..Self::default() }
    }

    /// Empties it, and lets go of memory that only a burst needed.
    pub(super) fn clear(&mut self) {
        self.items.clear();
        for layout in [&mut self.chunked, &mut self.plain] {
            layout.ends.clear();
            layout.bytes.clear();
            layout.bytes.shrink_to(KEEP_BYTES);
        }
    }

    /// The first item after `cursor`.
    pub(super) fn after(&self, cursor: u64) -> usize {
        self.items.partition_point(|item| item.seq <= cursor)
    }

    /// The bytes from item `first` on.
    pub(super) fn bytes(&mut self, framing: Framing, first: usize) -> &[u8] {
        let layout = match framing {
            Framing::Chunked => &mut self.chunked,
            Framing::Close => &mut self.plain,
        };
        if layout.ends.len() < self.items.len() {
            for item in &self.items[layout.ends.len()..] {
                layout.bytes.extend_from_slice(framing.bytes(&item.frame));
                layout.ends.push(layout.bytes.len());
            }
        }
        &layout.bytes[layout.start(first)..]
    }

    /// What a write of `written` bytes from item `first` on has reached.
    pub(super) fn progress(&self, framing: Framing, first: usize, written: usize) -> Progress {
        let layout = match framing {
            Framing::Chunked => &self.chunked,
            Framing::Close => &self.plain,
        };
        let end = layout.start(first) + written;
        let whole = layout.ends.partition_point(|&item_end| item_end <= end);
        Progress { whole, into_next: end - layout.start(whole) }
    }
}

impl Layout {
    fn start(&self, item: usize) -> usize {
        if item == 0 { 0 } else { self.ends[item - 1] }
    }
}

/// Bytes read from the log at a time: enough that a write is worth its system call, little enough that others wait
/// for microseconds only.
pub(super) const BATCH_BYTES: usize = 128 * 1_024;

/// Two batches of the usual size.
const KEEP_BYTES: usize = 512 * 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Frame;

    #[test]
    fn a_write_may_end_anywhere() {
        let mut batch = Batch::default();
        for seq in [3, 5, 9] {
            let frame = Frame::from_sse(format!("data: {seq}\n\n").as_bytes());
            batch.items.push(Item { seq, at_ms: 0, channel: 0, frame });
        }
        assert_eq!((batch.after(0), batch.after(3), batch.after(4), batch.after(9)), (0, 1, 1, 3));
        for framing in [Framing::Chunked, Framing::Close] {
            let all = batch.bytes(framing, 0).to_vec();
            let each = all.len() / 3;
            assert_eq!(batch.bytes(framing, 1), &all[each..]);
            for first in 0..3 {
                for written in 0..=all.len() - first * each {
                    let Progress { whole, into_next } = batch.progress(framing, first, written);
                    assert_eq!(whole * each + into_next, first * each + written);
                    assert!(into_next < each);
                }
            }
        }
    }
}
