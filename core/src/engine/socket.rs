//! A plain socket that a stream is written to.

use std::{
    io,
    mem::MaybeUninit,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use socket2::SockRef;

use crate::config::Config;

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
    /// Takes over a socket, and tunes it. Gives it back where the system refuses that.
    pub(crate) fn new(fd: OwnedFd, config: &Config) -> Result<Self, (io::Error, OwnedFd)> {
        match SockRef::from(&fd).set_nonblocking(true).and_then(|()| tune(&fd, config)) {
            Ok(()) => Ok(Self(fd)),
            Err(error) => Err((error, fd)),
        }
    }

    /// Writes what the socket takes now; `WouldBlock` is 0 bytes.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        send(&SockRef::from(&self.0), bytes)
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

/// Has the system give up a client of TCP that has vanished, or takes nothing: it must acknowledge what it is sent
/// within twice `write_timeout_ms`, and 10 s at least. Without keep-alives of ours, it is also asked whether it is there.
pub(crate) fn tune(socket: impl AsFd, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    #[cfg(any(target_os = "macos", target_os = "ios"))]
    socket.set_nosigpipe(true)?;
    if socket.domain()? == socket2::Domain::UNIX {
        return Ok(());
    }
    // An event is worth a packet; there is nothing to wait for.
    socket.set_tcp_nodelay(true)?;
    // Small events fit into the send buffer for a long time after the client's machine has vanished. Later than our own
    // deadline, which knows why it closes a stream, and not so early that a few lost packets, or a window that is shut
    // for a while, end a client that is well.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_user_timeout(Some(
        Duration::from_millis(config.write_timeout_ms).saturating_mul(2).max(LEAST_USER_TIMEOUT),
    ))?;
    if config.keep_alive_ms == 0 {
        socket.set_tcp_keepalive(
            &socket2::TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY),
        )?;
    }
    Ok(())
}

/// Has the system tell of room soon, and not only when a third of its buffer is free, which may be a megabyte: whoever
/// learns of room in no other way would take a slow client for one that takes nothing.
pub(crate) fn tell_of_room_early(socket: impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    if socket.domain()? == socket2::Domain::UNIX {
        return Ok(());
    }
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    Ok(())
}

/// Writes what a socket takes now; `WouldBlock` is 0 bytes.
pub(crate) fn send(socket: &SockRef<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.send_with_flags(bytes, NO_SIGPIPE) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            sent => return sent,
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// When the system asks whether a client is there that was sent nothing, and how often it asks again.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// Several retransmissions on a slow path.
#[cfg(any(target_os = "android", target_os = "linux"))]
const LEAST_USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough to keep a fast connection busy.
#[cfg(any(target_os = "android", target_os = "linux"))]
const MAX_UNSENT_BYTES: u32 = 64 * 1_024;

/// Without it, writing to a closed connection kills a C program.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const NO_SIGPIPE: i32 = libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const NO_SIGPIPE: i32 = 0;

#[cfg(all(test, any(target_os = "android", target_os = "linux")))]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_client_on_a_slow_path_has_time_to_acknowledge() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for (write_timeout_ms, expected_ms) in [(10, 10_000), (5_000, 10_000), (30_000, 60_000)] {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let config = Config::new().write_timeout_ms(write_timeout_ms);
            let socket = Socket::new(client.into(), &config).unwrap();
            let user_timeout = SockRef::from(&socket.0).tcp_user_timeout().unwrap();
            assert_eq!(user_timeout, Some(Duration::from_millis(expected_ms)));
        }
    }

    #[test]
    fn room_is_told_of_before_a_large_buffer_is_a_third_empty() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        crate::Events::new(Config::new()).unwrap().tune(&client).unwrap();
        assert_eq!(SockRef::from(&client).tcp_notsent_lowat().unwrap(), MAX_UNSENT_BYTES);
    }

    #[test]
    fn without_keep_alives_the_system_asks_for_clients() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for keep_alive_ms in [0, 20_000] {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            tune(&client, &Config::new().keep_alive_ms(keep_alive_ms)).unwrap();
            assert_eq!(SockRef::from(&client).keepalive().unwrap(), keep_alive_ms == 0);
        }
        assert!(
            tune(std::os::unix::net::UnixStream::pair().unwrap().0, &Config::new().keep_alive_ms(0)).is_ok()
        );
    }
}
