//! Subscriptions

use std::ffi::c_char;

use evstream::Message;

use crate::{
    cast::views,
    receipt::{EVS_POSITION_BYTES, position},
    text::{array, evs_str},
};

/// What a message of a subscription is. New kinds may come with any version: ignore one that you do not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum evs_message_kind {
    /// An event that was published.
    Event = 1,
    /// Events were missed because the subscription was read too slowly. Reading goes on after position.
    Reset = 2,
}

/// What a subscription gives. Start with EVS_MESSAGE_INIT.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_message {
    /// sizeof(evs_message).
    pub struct_size: usize,
    /// What it is; an evs_message_kind.
    pub kind: u32,
    /// The position of the event, or that after which reading goes on: a text ended by NUL.
    pub position: [c_char; EVS_POSITION_BYTES],
    /// The channel of an event; empty for a reset.
    pub channel: evs_str,
    /// The type of an event; NULL if it has none.
    pub name: evs_str,
    /// The data of an event, with LF between its lines.
    pub data: evs_str,
    /// The channels that have lost events, for a reset; NULL for an event.
    pub channels: *const evs_str,
    /// How many they are; 0 for an event.
    pub channels_len: usize,
}

/// A message, and the views of it that C is shown.
pub(crate) struct Shown {
    message: Message,
    channels: Vec<evs_str>,
}

impl Shown {
    pub(crate) fn new(message: Message) -> Self {
        let channels = match &message {
            Message::Reset { channels, .. } => views(channels),
            _ => Vec::new(),
        };
        Self { message, channels }
    }

    /// The message as C sees it, for as long as this lives.
    pub(crate) fn message(&self) -> evs_message {
        let empty = evs_str::from("");
        let mut shown = evs_message {
            struct_size: size_of::<evs_message>(),
            kind: 0,
            position: [0; EVS_POSITION_BYTES],
            channel: empty,
            name: evs_str::NULL,
            data: empty,
            channels: array(&self.channels),
            channels_len: self.channels.len(),
        };
        match &self.message {
            Message::Event(event) => {
                shown.kind = evs_message_kind::Event as u32;
                shown.position = position(event.position);
                shown.channel = (*event.channel).into();
                shown.name = event.name.as_deref().map_or(evs_str::NULL, evs_str::from);
                shown.data = (*event.data).into();
            }
            Message::Reset { position: at, .. } => {
                shown.kind = evs_message_kind::Reset as u32;
                shown.position = position(*at);
            }
            _ => {}
        }
        shown
    }
}
