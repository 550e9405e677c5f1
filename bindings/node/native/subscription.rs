//! Reading channels inside the process.

use std::task::{Context, Poll, Waker};

use evstream::{Message, Subscription};
use napi_derive::napi;

#[napi]
pub struct NativeSubscription {
    subscription: Option<Subscription>,
    waker: Waker,
}

/// An event, or the news that events were missed, which has `channels`.
#[napi(object)]
pub struct NativeMessage {
    pub channel: Option<String>,
    pub name: Option<String>,
    pub text: Option<String>,
    pub channels: Option<Vec<String>>,
    pub position: String,
}

/// Some messages, and whether there will be no more.
#[napi(object)]
pub struct NativeMessages {
    pub messages: Vec<NativeMessage>,
    pub ended: bool,
}

impl NativeSubscription {
    pub(crate) fn new(subscription: Subscription, waker: Waker) -> Self {
        Self { subscription: Some(subscription), waker }
    }
}

#[napi]
impl NativeSubscription {
    /// What there is now, at most `max` messages. When it is empty and not ended, its number is woken later.
    #[napi(catch_unwind)]
    pub fn take(&mut self, max: u32) -> NativeMessages {
        let mut messages = Vec::new();
        let mut ended = self.subscription.is_none();
        while let Some(subscription) = &mut self.subscription
            && messages.len() < max as usize
        {
            match subscription.poll_message(&Context::from_waker(&self.waker)) {
                Poll::Ready(Some(message)) => messages.extend(native_message(message)),
                Poll::Ready(None) => {
                    self.subscription = None;
                    ended = true;
                }
                Poll::Pending => break,
            }
        }
        NativeMessages { messages, ended }
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.subscription = None;
    }
}

fn native_message(message: Message) -> Option<NativeMessage> {
    match message {
        Message::Event(event) => Some(NativeMessage {
            channel: Some(event.channel),
            name: event.name,
            text: Some(event.data),
            channels: None,
            position: event.position.to_string(),
        }),
        Message::Reset { channels, position } => Some(NativeMessage {
            channel: None,
            name: None,
            text: None,
            channels: Some(channels),
            position: position.to_string(),
        }),
        _ => None,
    }
}
