//! Tokens and tickets that decide who may read what

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::Tickets;

use crate::{
    access::evs_access,
    call::{self, call, give, needed, place},
    cast,
    error::evs_error,
    hub::evs_hub,
    request::evs_request,
    status::evs_status,
    text::evs_text,
};

/// Tickets of one kind: what evs_hub_ticket makes with them, evs_server_mount_tickets and evs_access_set_ticket take,
/// and no others.
///
/// A ticket is for "?ticket=" in the URL of an EventSource, which sends no headers. Such a URL ends up in logs, and a
/// browser comes back with the same one: so it opens a new stream for a short time only, and lets a client that has
/// read from these events before go on for longer. It has one stream at a time in a process, the newest.
pub struct evs_tickets {
    pub(crate) tickets: Tickets,
}

/// Makes a kind of tickets.
///
/// @param name           Tells them from those for other mounts: 1 to 200 bytes, copied.
/// @param open_within_s  How many seconds after it was made a ticket opens a new stream: 1 to 3,600, or 0 for 30.
/// @param lasts_s        How many seconds after it was made a ticket ends, and its stream with it: 1 to 604,800, or 0
///                       for 3,600.
/// @param tickets        Where to store it; free with evs_tickets_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_tickets_new(
    name: *const c_char,
    name_len: usize,
    open_within_s: u64,
    lasts_s: u64,
    tickets: Option<&mut MaybeUninit<*mut evs_tickets>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(tickets, "tickets")?;
        let mut tickets = Tickets::new(cast::text(name, name_len, "name")?)?;
        if open_within_s > 0 {
            tickets = tickets.open_within_s(open_within_s)?;
        }
        if lasts_s > 0 {
            tickets = tickets.lasts_s(lasts_s)?;
        }
        give(place, evs_tickets { tickets });
        Ok(evs_status::Ok)
    })
}

/// Makes a ticket, signed with the option "ticket_secret" but not encrypted: letters, digits, "-" and "_".
///
/// @param hub      The hub.
/// @param tickets  Its kind.
/// @param access   What it grants: channels (evs_access_set_channels), and perhaps a user and an expiry.
/// @param text     Where to store it; free with evs_text_free.
///
/// @return OK; INVALID_ARGUMENT also for an access that is a refusal, allows what the client names, or has first
///         events; TOO_LARGE when it would not fit into a URL; INVALID_CONFIG when there is a journal but no
///         "ticket_secret"; FORKED.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_hub_ticket(
    hub: Option<&evs_hub>,
    tickets: Option<&evs_tickets>,
    access: Option<&evs_access>,
    text: Option<&mut MaybeUninit<*mut evs_text>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let place = place(text, "text")?;
        let events = &needed(hub, "hub")?.events;
        events.check_process()?;
        let (tickets, access) = (needed(tickets, "tickets")?, needed(access, "access")?);
        give(place, evs_text { text: events.ticket(&tickets.tickets, &access.access())? });
        Ok(evs_status::Ok)
    })
}

/// Decides on an access as the ticket of a request grants it, in place of evs_access_allow and the like. Without a
/// ticket that is accepted it is a refusal: 401, or "forbidden" in the stream of a client that asks for one, counted in
/// evs_stats.tokens_refused and logged.
///
/// @param access   The access.
/// @param hub      The hub of which evs_hub_open is asked.
/// @param tickets  Which tickets are accepted.
/// @param request  A request that an evs_authorize_fn is shown, or that evs_hub_screen has left to the application.
///
/// @return OK, also when it is a refusal; INVALID_ARGUMENT, FORKED.
/// @note Threads: one at a time for this access.
#[unsafe(no_mangle)]
pub extern "C" fn evs_access_set_ticket(
    access: Option<&mut evs_access>,
    hub: Option<&evs_hub>,
    tickets: Option<&evs_tickets>,
    request: Option<&evs_request<'_>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let access = needed(access, "access")?;
        let events = &needed(hub, "hub")?.events;
        events.check_process()?;
        let (tickets, request) = (needed(tickets, "tickets")?, needed(request, "request")?);
        access.grant(
            request.access_by(|request, named| events.ticket_access(&tickets.tickets, request, named))?,
        );
        Ok(evs_status::Ok)
    })
}

/// Frees it. Servers that have been given it keep theirs.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_tickets_free(tickets: Option<Box<evs_tickets>>) {
    call::free(tickets);
}
