//! A client's way through the log.

use std::collections::HashMap;

use evstream::Position;

use crate::{
    client::{Diary, Seen},
    node::Published,
};

/// An epoch, and a place in it.
pub(crate) type Place = (u32, u64);

/// A client's way through the log.
#[derive(Default)]
pub(crate) struct Way<'a> {
    opened: Option<(u64, Place)>,
    /// Places that it has passed from one to the other without a reset.
    spans: Vec<(Place, u64)>,
    resets: Vec<Reset<'a>>,
    /// How many resets there were before each event was seen, the last time.
    seen: HashMap<&'a str, usize>,
}

struct Reset<'a> {
    at_us: u64,
    from: Place,
    to: Place,
    channels: &'a [String],
}

impl<'a> Way<'a> {
    /// Goes through what a client has seen, in its order, and complains of what must not follow each other.
    pub(crate) fn new(diary: &'a Diary, name: &str, violations: &mut Vec<String>) -> Self {
        let mut way = Self::default();
        let mut at: Place = (0, 0);
        for (at_us, seen) in &diary.seen {
            let mut complain = |what: String| violations.push(format!("{name} at {at:x?}: {what}"));
            match seen {
                Seen::Open(Some(open)) if way.opened.is_none() => {
                    at = place(*open);
                    way.opened = Some((*at_us, at));
                    way.spans.push((at, at.1));
                }
                _ if way.opened.is_none() => complain(format!("{seen:?} before it was told where it is")),
                Seen::Open(None) => {}
                Seen::Open(Some(open)) => {
                    // Its epoch may be that of the log already, from which it is told of a gap next.
                    if open.seq != at.1 {
                        complain(format!("it goes on elsewhere, at {open}"));
                    }
                }
                Seen::At(to) | Seen::Event(to, _) => {
                    let to = place(*to);
                    let is_event = matches!(seen, Seen::Event(..));
                    if to.0 != at.0 && (is_event || to.1 != at.1) {
                        complain(format!("it comes to another epoch without a reset: {seen:?}"));
                    }
                    if to.1 < at.1 || is_event && to.1 == at.1 {
                        complain(format!("it goes back without a reset: {seen:?}"));
                    }
                    if let Seen::Event(_, data) = seen
                        && way.seen.insert(data, way.resets.len()) == Some(way.resets.len())
                    {
                        complain(format!("{data} comes twice without a reset"));
                    }
                    if to.0 == at.0 {
                        at = to;
                        way.pass(at);
                    }
                }
                Seen::Reset(to, channels) => {
                    let to = place(*to);
                    way.resets.push(Reset { at_us: *at_us, from: at, to, channels });
                    at = to;
                    way.spans.push((at, at.1));
                }
            }
        }
        way
    }

    /// When and where it began.
    pub(crate) fn opened(&self) -> Option<(u64, Place)> {
        self.opened
    }

    pub(crate) fn resets(&self) -> usize {
        self.resets.len()
    }

    pub(crate) fn has_seen(&self, event: &Published) -> bool {
        self.seen.contains_key(&*event.data)
    }

    fn pass(&mut self, at: Place) {
        if let Some((_, to)) = self.spans.last_mut() {
            *to = at.1;
        }
    }

    /// Whether a reset tells of an event at this place that it has not seen.
    pub(crate) fn is_told_of_place(&self, (epoch, seq): Place, event: &Published) -> bool {
        let is_passed = |((e, from), to): &(Place, u64)| *e == epoch && *from < seq && seq <= *to;
        if self.spans.iter().any(is_passed) {
            return false;
        }
        // Within an epoch the reset that skips the place has to name the channel.
        let skips = |reset: &&Reset<'_>| {
            reset.from.0 == epoch && reset.to.0 == epoch && reset.from.1 < seq && seq <= reset.to.1
        };
        match self.resets.iter().find(skips) {
            Some(reset) => reset.names(event),
            // What an epoch had before a client came to it, or has after it left, is lost when it is issued at the earliest.
            None => self.is_told_after(event),
        }
    }

    /// Whether a reset tells of an event that is nowhere.
    pub(crate) fn is_told_after(&self, event: &Published) -> bool {
        self.resets.iter().any(|reset| reset.at_us >= event.issued_us && reset.names(event))
    }
}

impl Reset<'_> {
    fn names(&self, event: &Published) -> bool {
        self.channels.iter().any(|channel| channel == event.channel())
    }
}

pub(crate) fn place(at: Position) -> Place {
    (at.epoch.0, at.seq)
}
