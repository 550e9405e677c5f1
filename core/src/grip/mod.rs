//! Floor 0: pure GRIP (Generic Realtime Intermediary Protocol), the protocol of Pushpin, Fastly Fanout and Fanout Cloud.
//!
//! Settings of a proxy, signatures, hold instructions, links and publish bodies. No sockets, no threads, no clock:
//! `now_s` is always the time in seconds since 1970-01-01 UTC.

mod auth;
mod base64;
mod channel;
mod hold;
mod jwk;
mod jwt;
mod key;
mod last;
mod link;
mod pem;
mod proxy;
mod publish;
mod rewrite;
mod sig;
mod uri;

pub use auth::{Auth, Authorization};
pub use channel::Prefix;
pub use hold::{Hold, next_page};
pub(crate) use jwk::{NamedKey, set as set_of_keys};
pub(crate) use jwt::claims;
pub use jwt::{LEEWAY_S, Refusal};
pub use key::{Key, KeyKind};
pub use last::{Last, parse_grip_last};
pub use link::{Cursors, LINK_MARKER, Link, LinkKey, LinkRefusal};
pub use proxy::{Proxy, ProxySettings};
pub use publish::{Action, Batch, Content, Item, Place, Published, Unplaced, parse_publish};
pub use rewrite::Rewrite;
pub use sig::{Verdict, verify_request};
pub(crate) use uri::origin_of;
