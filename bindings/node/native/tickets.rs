//! Tickets, for clients that send no headers.

use evstream::Tickets;
use napi_derive::napi;

use crate::{
    error::{Result, throw},
    events::NativeEvents,
    request::{NativeAccess, NativeAsked, NativeReply, NativeRequest},
};

/// Tickets of one kind.
#[napi(object)]
pub struct NativeTickets {
    pub name: String,
    pub open_within_s: Option<u32>,
    pub lasts_s: Option<u32>,
}

/// Throws what is wrong with them.
#[napi(catch_unwind)]
pub fn check_tickets(tickets: NativeTickets) -> Result<()> {
    tickets.read().map(|_| ()).map_err(throw)
}

impl NativeTickets {
    pub(crate) fn read(self) -> evstream::Result<Tickets> {
        let mut tickets = Tickets::new(self.name)?;
        if let Some(seconds) = self.open_within_s {
            tickets = tickets.open_within_s(seconds.into())?;
        }
        if let Some(seconds) = self.lasts_s {
            tickets = tickets.lasts_s(seconds.into())?;
        }
        Ok(tickets)
    }
}

#[napi]
impl NativeEvents {
    /// A ticket for what is granted.
    #[napi(catch_unwind)]
    pub fn ticket(&self, tickets: NativeTickets, access: NativeAccess) -> Result<String> {
        let (tickets, access) = (tickets.read().map_err(throw)?, access.read().map_err(throw)?);
        self.events.ticket(&tickets, &access).map_err(throw)
    }

    /// The answer to a request on which its ticket decides.
    #[napi(catch_unwind)]
    pub fn open_by_ticket(
        &self,
        asked: &NativeAsked,
        request: NativeRequest,
        tickets: NativeTickets,
    ) -> Result<NativeReply> {
        let (tickets, asked) = (tickets.read().map_err(throw)?, asked.take()?);
        let access = request.with(|request| self.events.ticket_access(&tickets, request, asked.channels()));
        Ok(self.reply(self.events.open(asked, access)))
    }
}
