//! What is between a process and its Redis: it cuts connections, holds up what is on them, and loses answers.

use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A relay from a port of its own to a Unix socket.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    to: PathBuf,
    mode: Mode,
    /// Grows when connections are cut.
    cuts: usize,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// They go on.
    Pass,
    /// They stay where they are, on connections that stay open.
    Freeze,
    /// What is asked goes on, and what is answered is lost.
    LoseAnswers,
    /// Connections are closed as they come.
    Refuse,
}

impl Relay {
    /// A relay to a socket.
    pub fn start(to: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Mutex::new(Shared { to: to.to_owned(), mode: Mode::Pass, cuts: 0 }));
        let own = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, cuts) = {
                    let shared = own.lock().expect("no relay panics");
                    if shared.mode == Mode::Refuse {
                        continue;
                    }
                    (shared.to.clone(), shared.cuts)
                };
                if let Ok(server) = UnixStream::connect(to) {
                    join(client, server, &own, cuts);
                }
            }
        });
        Self { port, shared }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it does from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.lock().expect("no relay panics").mode = mode;
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.shared.lock().expect("no relay panics").cuts += 1;
    }

    /// Cuts all connections, and has new ones go to another socket.
    pub fn turn(&self, to: &Path) {
        let mut shared = self.shared.lock().expect("no relay panics");
        to.clone_into(&mut shared.to);
        shared.cuts += 1;
    }
}

/// Takes bytes from one to the other, both ways, until the connection is cut.
fn join(client: TcpStream, server: UnixStream, shared: &Arc<Mutex<Shared>>, cuts: usize) {
    let (Ok(to_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else { return };
    let wait = Some(Duration::from_millis(20));
    client.set_read_timeout(wait).expect("it is not zero");
    server.set_read_timeout(wait).expect("it is not zero");
    let [one, other] = [shared.clone(), shared.clone()];
    std::thread::spawn(move || copy(client, to_server, &one, cuts, false));
    std::thread::spawn(move || copy(server, to_client, &other, cuts, true));
}

fn copy(
    mut from: impl Read + Close,
    mut to: impl Write + Close,
    shared: &Mutex<Shared>,
    cuts: usize,
    is_answer: bool,
) {
    let mut piece = [0; 16 * 1_024];
    loop {
        let (mode, now) = {
            let shared = shared.lock().expect("no relay panics");
            (shared.mode, shared.cuts)
        };
        if now != cuts {
            break;
        }
        if mode == Mode::Freeze {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(_) if mode == Mode::LoseAnswers && is_answer => {}
            Ok(bytes) if to.write_all(&piece[..bytes]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    from.close();
    to.close();
}

trait Close {
    fn close(&self);
}

impl Close for TcpStream {
    fn close(&self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}

impl Close for UnixStream {
    fn close(&self) {
        let _ = self.shutdown(std::net::Shutdown::Both);
    }
}
