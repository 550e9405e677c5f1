//! JSON Web Tokens that decide who may read what.

use evstream::{__internal::jwt_of, Jwt};
use napi_derive::napi;

use crate::{
    error::{Result, throw},
    events::NativeEvents,
    request::{NativeAsked, NativeReply, NativeRequest},
};

/// Which tokens are accepted, and from where.
#[napi(object)]
pub struct NativeJwtOptions {
    pub keys: Vec<String>,
    pub issuer: Option<String>,
    pub audiences: Vec<String>,
    pub cookie: Option<String>,
}

/// The same, read and checked.
#[napi]
pub struct NativeJwt(Jwt);

#[napi]
impl NativeJwt {
    #[napi(constructor, catch_unwind)]
    pub fn new(options: NativeJwtOptions) -> Result<Self> {
        options.read().map(Self).map_err(throw)
    }
}

impl NativeJwtOptions {
    pub(crate) fn read(self) -> evstream::Result<Jwt> {
        jwt_of(&self.keys, self.issuer, self.audiences, self.cookie)
    }
}

#[napi]
impl NativeEvents {
    /// The answer to a request on which its token decides.
    #[napi(catch_unwind)]
    pub fn open_by_token(
        &self,
        asked: &NativeAsked,
        request: NativeRequest,
        jwt: &NativeJwt,
    ) -> Result<NativeReply> {
        let asked = asked.take()?;
        let access = request.with(|request| self.events.jwt_access(&jwt.0, request, asked.channels()));
        Ok(self.reply(self.events.open(asked, access)))
    }
}
