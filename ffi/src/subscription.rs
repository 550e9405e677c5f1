//! Subscriptions

use std::{
    ffi::c_void,
    mem::MaybeUninit,
    sync::{Arc, atomic::AtomicBool},
};

use evstream::{Events, Message, Subscription};

use crate::{
    call::{call, free, give, needed, place},
    callback::{Manners, UserData, evs_free_fn},
    cast,
    deliveries::{Delivery, wait},
    error::{Failure, Result, evs_error},
    hub::evs_hub,
    message::{Shown, evs_message},
    ready::{evs_ready_fn, evs_ready_queue},
    status::evs_status,
    text::evs_str,
    told::{Callback, Next, Told},
};

/// A reader of channels in this process. Like a client's stream it is a place in the channels' history: one that is
/// read too slowly gets a reset, and costs nothing.
pub struct evs_subscription(Reader);

enum Reader {
    Pull(Box<Pull>),
    Callback(#[expect(dead_code, reason = "it ends the thread when it is dropped")] Delivery),
}

struct Pull {
    events: Events,
    subscription: Subscription,
    told: Told,
    /// What was given out last, and must live until the next call.
    shown: Option<Shown>,
}

/// Called with each message of a subscription, one after the other.
///
/// It runs on a thread of the subscription's own and may block. It is not called any more, unless it is running
/// already, when the hub is closed or the subscription is freed.
///
/// @param user_data  As you gave it.
/// @param message    The message. It lives until the callback returns.
pub type evs_message_fn = Option<extern "C" fn(user_data: *mut c_void, message: *const evs_message)>;

/// Reads channels from now on, with evs_subscription_next or evs_subscription_poll.
///
/// @param hub           The hub.
/// @param channels      The names of the channels, one or more.
/// @param subscription  Where to store it; free with evs_subscription_free.
///
/// @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_subscribe(
    hub: Option<&evs_hub>,
    channels: *const evs_str,
    channels_len: usize,
    subscription: Option<&mut MaybeUninit<*mut evs_subscription>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(subscription, "subscription")?;
        let (hub, subscription) = subscribe(hub, channels, channels_len)?;
        let pull = Pull { events: hub.events.clone(), subscription, told: Told::default(), shown: None };
        give(place, evs_subscription(Reader::Pull(Box::new(pull))));
        Ok(evs_status::Ok)
    })
}

/// Reads channels from now on, and calls back with each message, on a thread that this starts.
///
/// @param hub             The hub.
/// @param channels        The names of the channels, one or more.
/// @param on_message      What to call.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data.
/// @param subscription    Where to store it; evs_subscription_free ends it.
///
/// @return OK, INVALID_CHANNEL, INVALID_ARGUMENT, CLOSED, FORKED; IO when threads cannot be started.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_subscribe_callback(
    hub: Option<&evs_hub>,
    channels: *const evs_str,
    channels_len: usize,
    on_message: evs_message_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    subscription: Option<&mut MaybeUninit<*mut evs_subscription>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let place = place(subscription, "subscription")?;
        let on_message = needed(on_message, "on_message")?;
        let (hub, mut subscription) = subscribe(hub, channels, channels_len)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let thread = hub.deliveries.start(move || {
            while let Some(message) = wait(&mut subscription, &stop) {
                let shown = Shown::new(message);
                let message = shown.message();
                user_data.call(Manners::MayBlock, |data| on_message(data, &raw const message));
            }
        })?;
        give(place, evs_subscription(Reader::Callback(Delivery::new(stopped, thread))));
        Ok(evs_status::Ok)
    })
}

/// Takes the next message, and waits for it if need be.
///
/// @param subscription  A subscription without a callback.
/// @param timeout_ms    How long to wait, in milliseconds. 0 does not wait; EVS_FOREVER waits until the hub is closed.
///                      When the subscription is attached to a ready queue, 0 is all that is allowed.
/// @param message       A structure started with EVS_MESSAGE_INIT. What it refers to lives until the next call for
///                      this subscription.
///
/// @return OK; ENDED when the hub is closed and all was read; TIMEOUT, without an error, when nothing came in time;
///         PENDING in its place when the subscription is attached, and the queue tells when to call again; IN_CALLBACK
///         when it would wait in a callback that must be short; INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this subscription.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_next(
    subscription: Option<&mut evs_subscription>,
    timeout_ms: u64,
    message: *mut evs_message,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let message = needed_message(message)?;
        let pull = pulled(subscription)?;
        pull.told.begin(timeout_ms)?;
        let next = pull.told.next(&mut pull.subscription, timeout_ms)?;
        pull.hand_out(next, message)
    })
}

/// Takes the next message if there is one, or else calls back when there may be.
///
/// @param subscription    A subscription without a callback, which is not attached to a ready queue.
/// @param message         A structure started with EVS_MESSAGE_INIT. What it refers to lives until the next call for
///                        this subscription.
/// @param ready           What to call when it is worth calling this again: at most once, and, unless it is running
///                        already, not after the next call for this subscription.
/// @param user_data       What to call it with.
/// @param user_data_free  NULL, or what frees user_data. When ready will not be called, it runs before this function
///                        returns, and so does that of an earlier poll: hold no lock that it takes.
///
/// @return OK, ENDED, and ready is not called; PENDING, and it is; INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this subscription.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_poll(
    subscription: Option<&mut evs_subscription>,
    message: *mut evs_message,
    ready: evs_ready_fn,
    user_data: *mut c_void,
    user_data_free: evs_free_fn,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    let user_data = UserData::new(user_data, user_data_free);
    call(error, || {
        let message = needed_message(message)?;
        let pull = pulled(subscription)?;
        let callback = Callback::new(ready, user_data)?;
        pull.told.begin_poll()?;
        let next = pull.told.poll(&mut pull.subscription, callback);
        pull.hand_out(next, message)
    })
}

/// Attaches a subscription to a ready queue, in place of the one before. From then on evs_subscription_next does not
/// wait: where it would, it returns PENDING, and the queue gives user_data when it is worth calling it again.
///
/// @param subscription  A subscription without a callback.
/// @param queue         The queue.
/// @param user_data     What evs_ready_queue_pop is to give. evstream does not look at it, and does not give it any
///                      more once the subscription is freed.
///
/// @return OK, INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this subscription.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_attach(
    subscription: Option<&mut evs_subscription>,
    queue: Option<&evs_ready_queue>,
    user_data: *mut c_void,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        pulled(subscription)?.told.attach(queue, user_data)?;
        Ok(evs_status::Ok)
    })
}

/// Ends and frees it. A callback may still be running, until user_data_free is called.
///
/// @note Threads: any, also its own callback.
#[unsafe(no_mangle)]
pub extern "C" fn evs_subscription_free(subscription: Option<Box<evs_subscription>>) {
    free(subscription);
}

impl Pull {
    fn hand_out(&mut self, next: Next<Message>, message: *mut evs_message) -> Result<evs_status> {
        match next {
            Next::Item(next) => {
                cast::write_sized(message, &self.shown.insert(Shown::new(next)).message())?;
                Ok(evs_status::Ok)
            }
            Next::Nothing(status) => Ok(status),
        }
    }
}

/// A subscription that is read by the caller.
fn pulled(subscription: Option<&mut evs_subscription>) -> Result<&mut Pull> {
    let Reader::Pull(pull) = &mut needed(subscription, "subscription")?.0 else {
        return Err(Failure::argument("a subscription with a callback cannot be read besides"));
    };
    pull.events.check_process()?;
    Ok(pull)
}

fn needed_message(message: *mut evs_message) -> Result<*mut evs_message> {
    cast::check_sized(message)?;
    needed(Some(message).filter(|message| !message.is_null()), "message")
}

fn subscribe(
    hub: Option<&evs_hub>,
    channels: *const evs_str,
    channels_len: usize,
) -> Result<(&evs_hub, Subscription)> {
    let channels = cast::channels(channels, channels_len)?;
    let hub = needed(hub, "hub")?;
    Ok((hub, hub.events.subscribe(channels)?))
}
