//! Accepting connections, also when the system runs out of something.

use std::{
    future::poll_fn,
    io,
    net::{Shutdown, SocketAddr, ToSocketAddrs},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    path::Path,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
};

use super::{Address, UNIX_PREFIX, connection::Connections};
use crate::error::{Error, ErrorKind, Result};

pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that can be taken out of the runtime as a descriptor.
pub(super) trait Connection: AsFd + AsyncRead + AsyncWrite + Send + Unpin + 'static {
    fn into_fd(self) -> io::Result<OwnedFd>;
}

impl Listener {
    /// Binds, inside a runtime.
    pub(super) fn bind(address: &str) -> Result<(Self, Address)> {
        if let Some(path) = address.strip_prefix(UNIX_PREFIX) {
            if path.is_empty() {
                return Err(no_address(address));
            }
            let path = Path::new(path);
            remove_stale(path).map_err(|e| cannot_bind(address, e))?;
            let listener = UnixListener::bind(path).map_err(|e| cannot_bind(address, e))?;
            return Ok((Self::Unix(listener), Address::Unix(path.to_owned())));
        }
        let addresses = address.to_socket_addrs().map_err(|e| no_address(address).with_source(e))?;
        let mut last = None;
        for candidate in addresses {
            match bind_tcp(candidate) {
                Ok((listener, bound)) => return Ok((Self::Tcp(listener), Address::Tcp(bound))),
                Err(error) => last = Some(error),
            }
        }
        let error =
            last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        Err(cannot_bind(address, error))
    }
}

impl Connection for TcpStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        self.into_std().map(OwnedFd::from)
    }
}

impl Connection for UnixStream {
    fn into_fd(self) -> io::Result<OwnedFd> {
        self.into_std().map(OwnedFd::from)
    }
}

/// Accepts until told to stop, and then waits for the connections that are being answered.
pub(super) async fn accept(listener: Listener, mut connections: Connections, stopped: watch::Receiver<bool>) {
    let mut stop = stopped.clone();
    let mut stop = pin!(stop.wait_for(|stop| *stop));
    let mut next = |cx: &mut Context<'_>| match stop.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => listener.poll_accept(cx).map(Some),
    };
    let mut exhausted = false;
    while let Some(accepted) = poll_fn(&mut next).await {
        if exhausted && accepted.is_ok() {
            exhausted = false;
            tracing::info!("accepting connections again");
        }
        match accepted {
            Ok(Accepted::Tcp(stream, peer)) => {
                connections.serve(stream, Some(peer.ip().to_canonical()), &stopped);
            }
            Ok(Accepted::Unix(stream)) => connections.serve(stream, None, &stopped),
            Err(error) if is_exhaustion(&error) => {
                if !exhausted {
                    exhausted = true;
                    tracing::warn!(%error, "cannot accept connections for now");
                }
                // The connection stays in the kernel's queue; trying again at once would only burn the processor.
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => tracing::debug!(%error, "a connection was gone before it was accepted"),
        }
    }
    listener.close();
    connections.finish().await;
}

enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        match self {
            Self::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, peer)| Accepted::Tcp(stream, peer))
            }
            Self::Unix(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Refuses connections from now on, and takes its socket file away.
    fn close(self) {
        // The file first: as long as somebody listens, no other server can have put its own there.
        if let Self::Unix(listener) = &self
            && let Ok(address) = listener.local_addr()
            && let Some(path) = address.as_pathname()
        {
            let _ = std::fs::remove_file(path);
        }
        // A child that was forked off may have the socket too, and the port must not stay open because of it.
        let _ = match &self {
            Self::Tcp(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
            Self::Unix(listener) => SockRef::from(listener).shutdown(Shutdown::Both),
        };
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// A socket file that nobody listens on is what a crashed server leaves behind.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    // Any other answer, such as "try again" of one that is busy, means that it may be in use.
    let probe = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    probe.set_nonblocking(true)?;
    match probe.connect(&socket2::SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        _ => Ok(()),
    }
}

fn no_address(address: &str) -> Error {
    let text = format!("{address:?} is not a valid address; give host:port or {UNIX_PREFIX}PATH");
    Error::new(ErrorKind::InvalidArgument, text)
}

fn cannot_bind(address: &str, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("cannot listen on {address}: {error}")).with_source(error)
}

/// Out of descriptors or memory: it will pass, but not at once.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}

const PAUSE: Duration = Duration::from_millis(100);

/// A whole audience may reconnect at the same moment.
const BACKLOG: i32 = 4_096;
