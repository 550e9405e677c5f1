//! What the engine takes over, and what it gives back when it does not.

use std::{
    fmt,
    io::ErrorKind::{InvalidInput, NotConnected},
    mem::MaybeUninit,
    os::fd::OwnedFd,
};

use socket2::{Domain, SockRef, Type};

use super::{framing::Framing, member::MAX_RECEIVED_BYTES, socket::Socket};
use crate::{
    error::{Error, ErrorKind, Result},
    stream::{CloseNotice, Stream},
};

/// A stream that was not adopted: why, and what was given, as it was.
#[derive(Debug)]
#[non_exhaustive]
pub struct AdoptError {
    /// What went wrong.
    pub error: Error,
    /// The stream, which can still be adopted or pulled.
    pub stream: Stream,
    /// The socket.
    pub socket: OwnedFd,
}

impl AdoptError {
    pub(crate) fn new(error: impl Into<Error>, stream: Stream, socket: OwnedFd) -> Self {
        Self { error: error.into(), stream, socket }
    }
}

impl fmt::Display for AdoptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for AdoptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

/// Ends a stream whose events were closed since it was opened. Its client is told to come back as far as the socket
/// takes it at once, which that of a client who has just been answered does.
pub(super) fn end_at_once(mut stream: Stream, socket: &Socket, framing: Framing, first: Vec<u8>) {
    let words = stream.ended_meanwhile().unwrap_or_else(|| CloseNotice::Shutdown.into());
    let mut bytes = first;
    bytes.extend_from_slice(framing.bytes(&stream.last_words(&words)));
    bytes.extend_from_slice(framing.terminator());
    // What is left unread would have the system reset the connection, and the client lose these words.
    let sent = socket.send(&bytes).and_then(|_| socket.drain(MAX_RECEIVED_BYTES));
    if let Err(error) = sent {
        tracing::debug!(%error, "the client of a stream was gone before it was adopted");
    }
    socket.shutdown();
    stream.close(words.close_reason());
}

impl From<AdoptError> for Error {
    fn from(refused: AdoptError) -> Self {
        refused.error
    }
}

/// Fails with `invalid-argument` unless this is a TCP or Unix stream socket that has been connected. One whose client
/// has left since is fine: its stream ends like any other.
pub(crate) fn check_connected(socket: &OwnedFd) -> Result<()> {
    let refuse = |what: &str| {
        let text =
            format!("the descriptor is {what}; only a connected TCP or Unix stream socket can be adopted");
        Err(Error::new(ErrorKind::InvalidArgument, text))
    };
    let socket = SockRef::from(socket);
    let Ok(kind) = socket.r#type() else { return refuse("no socket") };
    if kind != Type::STREAM {
        return refuse("a socket that sends messages, not a stream of bytes");
    }
    if !matches!(socket.domain()?, Domain::IPV4 | Domain::IPV6 | Domain::UNIX) {
        return refuse("a socket of another family");
    }
    if socket.is_listener()? {
        return refuse("a listening socket");
    }
    // `getpeername` would also fail where a client has reset its connection, which is nobody's mistake. Reading tells
    // the two apart: ENOTCONN, or EINVAL for a Unix socket, only come where there never was a connection.
    match socket.recv_with_flags(&mut [MaybeUninit::uninit()], libc::MSG_PEEK | libc::MSG_DONTWAIT) {
        Err(error) if matches!(error.kind(), NotConnected | InvalidInput) => refuse("not connected"),
        _ => Ok(()),
    }
}
