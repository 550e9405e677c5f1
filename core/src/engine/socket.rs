//! A plain socket that a stream is written to.

use std::{
    io,
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use socket2::SockRef;

/// A connected, non-blocking stream socket: TCP or Unix.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

/// What is left of the client's side of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Peer {
    /// It is there, and has sent this many bytes that nobody asked for.
    Open(usize),
    /// It has closed.
    Gone,
}

impl Socket {
    /// Takes over a socket, whose client must acknowledge what it is sent within twice `timeout`, and 10 s at least.
    pub(crate) fn new(fd: OwnedFd, timeout: Duration) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        if socket.domain()? != socket2::Domain::UNIX {
            // An event is worth a packet; there is nothing to wait for.
            socket.set_tcp_nodelay(true)?;
            // Small events fit into the send buffer for ages after the client's machine has vanished. Later than our
            // own deadline, which knows why it closes a stream, and not so early that a few lost packets, or a window
            // that is shut for a while, end a client that is well.
            #[cfg(any(target_os = "android", target_os = "linux"))]
            socket.set_tcp_user_timeout(Some(timeout.saturating_mul(2).max(LEAST_USER_TIMEOUT)))?;
        }
        #[cfg(not(any(target_os = "android", target_os = "linux")))]
        let _ = timeout;
        #[cfg(any(target_os = "macos", target_os = "ios"))]
        socket.set_nosigpipe(true)?;
        Ok(Self(fd))
    }

    /// Writes what the socket takes now; `WouldBlock` is 0 bytes.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match SockRef::from(&self.0).send_with_flags(bytes, NO_SIGPIPE) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent,
            }
        }
    }

    /// Reads and throws away what the client has sent, at most about `limit` bytes.
    pub(super) fn drain(&self, limit: usize) -> io::Result<Peer> {
        let mut scratch = [MaybeUninit::<u8>::uninit(); 2_048];
        let mut total = 0;
        while total <= limit {
            match SockRef::from(&self.0).recv(&mut scratch) {
                Ok(0) => return Ok(Peer::Gone),
                Ok(n) => total += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(Peer::Open(total))
    }

    /// Tells the client that nothing more comes, also when the descriptor lives on elsewhere.
    pub(super) fn shutdown(&self) {
        // The client may be gone already, which is as good.
        let _ = SockRef::from(&self.0).shutdown(Shutdown::Both);
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Several retransmissions on a slow path.
#[cfg(any(target_os = "android", target_os = "linux"))]
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Without it, writing to a closed connection kills a C program.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const NO_SIGPIPE: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const NO_SIGPIPE: i32 = 0;

/// Keeps SIGPIPE away from the calling thread: libraries we call write without `MSG_NOSIGNAL`, and in a C host the
/// signal would end the process.
pub(crate) fn block_sigpipe() {
    let mut signals = nix::sys::signal::SigSet::empty();
    signals.add(nix::sys::signal::Signal::SIGPIPE);
    if let Err(error) = signals.thread_block() {
        tracing::warn!(%error, "cannot block SIGPIPE");
    }
}

#[cfg(all(test, any(target_os = "android", target_os = "linux")))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_client_on_a_slow_path_has_time_to_acknowledge() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (write_timeout_ms, expected_ms) in [(10, 10_000), (5_000, 10_000), (30_000, 60_000)] {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let socket = Socket::new(client.into(), Duration::from_millis(write_timeout_ms)).unwrap();
            let user_timeout = SockRef::from(&socket.0).tcp_user_timeout().unwrap();
            assert_eq!(user_timeout, Some(Duration::from_millis(expected_ms)));
        }
    }
}
