//! An application's events: the way in to everything else.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use http::{Response, request::Parts};

use crate::{
    app::{App, Closed, Ended, Family, Health},
    config::Config,
    engine::{AdoptError, Engine, Framing, check_connected, tell_of_room_early, tune},
    error::{Error, ErrorKind, Result},
    log,
    publish::Receipt,
    pull::Pull,
    server::{Body, ServerBuilder, respond},
    stream::{
        Access, Asked, Jwt, Observer, OpenStream, Reply, Request, Screened, Stats, Stream, StreamRequest,
        Tickets, Who, admit, issue, open, open_request, screen, user_channel,
    },
    subscribe::Subscription,
    wire::{Epoch, Event, Position},
};

/// An application's events: its settings, channels, history and streams.
///
/// Cheap to clone and safe to use from any thread; make one per application. When the last clone is dropped the streams end
/// at once; call [`close`](Self::close) to end them well.
///
/// Threads are started when they are first needed: by [`adopt`](Self::adopt), [`pull`](Self::pull),
/// [`respond`](Self::respond), [`subscribe`](Self::subscribe) and [`ServerBuilder::bind`]; with a GRIP proxy also by
/// [`publish`](Self::publish) and [`open`](Self::open). Make the `Events` before a fork, if there is to be one, and use it
/// only in one of the processes.
///
/// ```
/// use evstream::{Config, Event, Events};
/// let events = Events::new(Config::new())?;
/// let receipt = events.publish("messages", Event::json("hi")?.name("message"))?;
/// assert_eq!(receipt.streams, 0);
/// # Ok::<(), evstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Events {
    app: Arc<App>,
}

/// A named sequence of events.
#[derive(Clone, Debug)]
pub struct Channel {
    app: Arc<App>,
    channel: Arc<log::Channel>,
}

impl Events {
    /// An application's events with these settings. Fails with `invalid-config` when one is out of range, or with `io`
    /// when the system gives no random numbers.
    pub fn new(config: Config) -> Result<Self> {
        Ok(Self { app: App::new(config, Epoch::random()?)? })
    }

    /// Publishes an event to a channel. Never waits for a client.
    ///
    /// Fails with `invalid-channel`, `invalid-event`, `too-large`, `closed` or `forked`.
    pub fn publish(&self, channel: &str, event: Event<'_>) -> Result<Receipt> {
        self.app.publish(&self.app.channel(channel)?, &event)
    }

    /// The channel of that name, for publishing often. Fails with `invalid-channel`, `closed` or `forked`.
    pub fn channel(&self, name: &str) -> Result<Channel> {
        Ok(Channel { app: self.app.clone(), channel: self.app.channel(name)? })
    }

    /// Publishes an event to all streams of a user, as [`Access::user`] has named them, in all processes that
    /// [`publish`](Self::publish) reaches.
    ///
    /// It goes to a channel of the user's own, `@user/NAME`, which no client can ask for: with the setting `user_channel`
    /// each stream of the user reads it beside its others, and replays it alike. Fails with `invalid-config` without the
    /// setting, with `invalid-argument` for what is no user's name, and as [`publish`](Self::publish) does.
    ///
    /// ```
    /// # use evstream::{Config, Event, Events};
    /// let events = Events::new(Config::new().user_channel(true))?;
    /// events.publish_to_user("bob", Event::text("you have mail"))?;
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn publish_to_user(&self, user: &str, event: Event<'_>) -> Result<Receipt> {
        self.user_channel(user)?.publish(event)
    }

    /// The channel that [`publish_to_user`](Self::publish_to_user) publishes to, for publishing often. Fails as that does.
    pub fn user_channel(&self, user: &str) -> Result<Channel> {
        self.channel(&user_channel(self.app.hub().config(), user)?)
    }

    /// Reads a request that some HTTP server has received, and answers it unless the application is to decide on it.
    ///
    /// Preflight, what is malformed, and what a GRIP proxy asks for on behalf of a stream it holds need no word from the
    /// application: such a request of a proxy carries no cookies either. For the others decide, and then
    /// [`open`](Self::open).
    ///
    /// ```
    /// use evstream::{Access, Events, Reply, Request, Screened};
    /// fn answer(events: &Events, request: &Request<'_>, may_read: impl Fn(&str) -> bool) -> Reply {
    ///     match events.screen(request) {
    ///         Screened::Reply(reply) => reply,
    ///         Screened::Ask(asked) if asked.channels().iter().all(|name| may_read(name)) => {
    ///             events.open(asked, Access::allow())
    ///         }
    ///         Screened::Ask(asked) => events.open(asked, Access::forbid("not yours")),
    ///     }
    /// }
    /// ```
    pub fn screen(&self, request: &Request<'_>) -> Screened {
        screen(self.app.hub(), request, self.app.now())
    }

    /// What the token of a request grants, in which the client names the channels `requested`: for [`open`](Self::open), or in
    /// a function for access that decides on more than the token. A token that is refused is counted and logged.
    ///
    /// ```
    /// use evstream::{Events, Jwt, Reply, Request, Screened};
    /// fn answer(events: &Events, jwt: &Jwt, request: &Request<'_>) -> Reply {
    ///     match events.screen(request) {
    ///         Screened::Reply(reply) => reply,
    ///         Screened::Ask(asked) => {
    ///             let access = events.jwt_access(jwt, request, asked.channels());
    ///             events.open(asked, access)
    ///         }
    ///     }
    /// }
    /// ```
    pub fn jwt_access(&self, jwt: &Jwt, request: &Request<'_>, requested: &[String]) -> Access {
        self.app.decide(jwt, request, requested)
    }

    /// A ticket for what `access` grants, which must name its channels: letters, digits, `-` and `_`, for `?ticket=` in the URL of
    /// a stream. It ends when `access` expires, if that is earlier. It is signed but not encrypted: who has it can read it.
    ///
    /// Fails with `invalid-argument` for a refusal, for an access of the channels that clients name, and for one with first
    /// events; with `too-large` when it would not fit into a URL; and with `invalid-config` when there is a journal, but no
    /// `ticket_secret`.
    pub fn ticket(&self, tickets: &Tickets, access: &Access) -> Result<String> {
        issue(self.app.hub(), tickets, access, self.app.now())
    }

    /// What the ticket of a request grants, in which the client names the channels `requested`: for [`open`](Self::open). Where
    /// it names none, all that the ticket has. One that is refused is counted with the tokens, and logged.
    pub fn ticket_access(&self, tickets: &Tickets, request: &Request<'_>, requested: &[String]) -> Access {
        admit(self.app.hub(), tickets, request, requested, self.app.now())
    }

    /// Answers a request on which the application has decided.
    ///
    /// Send the reply's status, headers and body. When it has a stream, keep the response open and give the stream to
    /// one driver: [`adopt`](Self::adopt) or [`pull`](Self::pull).
    pub fn open(&self, asked: Asked, access: Access) -> Reply {
        self.app.on_open();
        open(self.app.hub(), asked, access, self.app.now())
    }

    /// [`screen`](Self::screen) and [`open`](Self::open) in one, for an access that does not depend on the request.
    pub fn open_request(&self, request: &Request<'_>, access: Access) -> Reply {
        self.app.on_open();
        open_request(self.app.hub(), request, access, self.app.now())
    }

    /// Hands the client's socket to the engine, which writes the stream to it from now on.
    ///
    /// The caller has sent the head, with the framing it announces, and the first bytes; `first` is for what it has
    /// not sent of them, and is written as it is. The socket is plain TCP or Unix, without TLS, and nobody else writes
    /// to it any more. It is closed when the stream ends.
    ///
    /// When the events were closed since, the client is told to come back later, and the stream ends.
    ///
    /// Fails with `forked`, `io`, or `invalid-argument` when other events have opened the stream, or the descriptor is
    /// no connected stream socket. The stream and the socket come back with the error, as they were.
    ///
    /// ```
    /// use evstream::{Access, Event, Events, Framing, Request};
    /// use std::{io::Write, net::TcpStream};
    ///
    /// /// Answers a request that a server of one's own has read from `socket`.
    /// fn answer(events: &Events, request: &Request<'_>, mut socket: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
    ///     let reply = events.open_request(request, Access::channels(["clock"]));
    ///     write!(socket, "HTTP/1.1 {} OK\r\n", reply.status)?;
    ///     for (name, value) in &reply.headers {
    ///         write!(socket, "{name}: {value}\r\n")?;
    ///     }
    ///     write!(socket, "Connection: close\r\n\r\n")?;
    ///     socket.write_all(&reply.body)?;
    ///     if let Some(stream) = reply.stream {
    ///         events.adopt(stream, socket.into(), Framing::Close, Vec::new())?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn adopt(
        &self,
        stream: Stream,
        socket: OwnedFd,
        framing: Framing,
        first: Vec<u8>,
    ) -> Result<(), AdoptError> {
        let checked = self.app.check_own(&stream).and_then(|()| check_connected(&socket));
        let engine = match checked.and_then(|()| self.app.engine()) {
            Ok(engine) => Some(engine),
            // It was opened before, so it ends as the others do.
            Err(error) if error.kind() == ErrorKind::Closed => self.app.started_engine(),
            Err(error) => return Err(AdoptError::new(error, stream, socket)),
        };
        Engine::adopt(engine, stream, socket, framing, first, None)
    }

    /// Lets the caller take the stream's bytes piece by piece and send them in its own way.
    ///
    /// When the events were closed since, all that comes is what the log has and that the client is to come back later.
    ///
    /// Fails with `forked`, `io`, or `invalid-argument` when other events have opened the stream.
    ///
    /// ```
    /// # use evstream::{Access, Config, Event, Events, Request};
    /// # use std::time::Duration;
    /// # let events = Events::new(Config::new())?;
    /// # let request = Request { method: "GET", path: "/", query: "channel=clock", headers: &[], peer: None };
    /// let reply = events.open_request(&request, Access::allow());
    /// let mut pull = events.pull(reply.stream.expect("the request is good"))?;
    /// events.publish("clock", Event::text("12:00"))?;
    /// let bytes = pull.next_timeout(Duration::from_secs(5))?.expect("the stream goes on");
    /// assert!(bytes.starts_with(b"data: 12:00\n"));
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn pull(&self, stream: Stream) -> Result<Pull> {
        self.app.check_own(&stream)?;
        Pull::new(&self.app, stream)
    }

    /// Has the system give up the client of a socket when it has vanished or takes nothing: within twice
    /// `write_timeout_ms`, and 10 s at least, on Linux. There it also tells of room in the socket sooner, so that a
    /// [`Pull`] does not take a slow client for one that takes nothing.
    ///
    /// For an HTTP server that has no such deadline, such as hyper's and axum's, when it has accepted a connection. A
    /// socket that is [adopted](Self::adopt), and those of [`server`](Self::server), are tuned already. Unix sockets are
    /// left as they are. Fails with `io`.
    ///
    /// ```
    /// # use evstream::{Config, Events};
    /// # let events = Events::new(Config::new())?;
    /// # let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// # let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    /// let (connection, _) = listener.accept().unwrap();
    /// events.tune(&connection)?; // with axum: listener.tap_io(move |tcp| drop(events.tune(tcp)))
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn tune(&self, socket: impl AsFd) -> Result<()> {
        tune(&socket, self.app.hub().config())?;
        Ok(tell_of_room_early(socket)?)
    }

    /// Reads channels in this process, from now on. Fails with `invalid-channel`, `closed` or `io`.
    pub fn subscribe<'a>(&self, channels: impl IntoIterator<Item = &'a str>) -> Result<Subscription> {
        Subscription::new(&self.app, channels)
    }

    /// An HTTP server of the library's own, for applications that do not want to mount streams in theirs.
    pub fn server(&self) -> ServerBuilder {
        ServerBuilder::new(self.app.clone())
    }

    /// Answers an `http` request, for mounting streams in a Rust web framework.
    ///
    /// `access` says who may have which channels. `peer` is the client's address, where the framework knows it. Fails
    /// with `closed` or `io`.
    ///
    /// ```
    /// # use evstream::{Access, Config, Events};
    /// # fn handler(events: Events, request: http::Request<()>) -> evstream::Result<http::Response<evstream::Body>> {
    /// let (parts, _) = request.into_parts();
    /// events.respond(&parts, None, |_| Access::channels(["clock"]))
    /// # }
    /// ```
    pub fn respond(
        &self,
        parts: &Parts,
        peer: Option<IpAddr>,
        access: impl FnOnce(&StreamRequest<'_>) -> Access,
    ) -> Result<Response<Body>> {
        respond(&self.app, parts, peer, access)
    }

    /// Has `observer` told when streams open and close. Fails with `invalid-argument` when there is one already.
    ///
    /// ```
    /// use evstream::{CloseReason, Config, Events, Observer, Stream};
    /// struct Log;
    /// impl Observer for Log {
    ///     fn stream_closed(&self, stream: &Stream, reason: CloseReason) {
    ///         println!("{:?} has left: {}", stream.user(), reason.name());
    ///     }
    /// }
    /// let events = Events::new(Config::new())?;
    /// events.observe(Log)?;
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn observe(&self, observer: impl Observer) -> Result<()> {
        if self.app.hub().observe(Box::new(observer)) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidArgument, "the events have an observer already"))
    }

    /// The place of the newest event that was published, on any channel.
    ///
    /// For a page that shows stored data and then follows its changes. Take the position **before** reading the data,
    /// and have the page resume from it: it gets every change that was published after the data was read, and perhaps
    /// some again that the data already shows. Taken after the reading, changes in between would be skipped untold. The
    /// application must store a change before it publishes it.
    ///
    /// ```
    /// # use evstream::{Access, Config, Event, Events, Request};
    /// # let events = Events::new(Config::new())?;
    /// # let read_database = || "[]";
    /// let position = events.position(); // first
    /// let rows = read_database();
    /// let page = format!(r#"{{"rows": {rows}, "position": "{position}"}}"#);
    /// // In the page: new EventSource(`/events/?channel=rows&last_event_id=${position}`)
    /// # events.publish("rows", Event::text("changed"))?;
    /// # let query = format!("channel=rows&last_event_id={position}");
    /// # let request = Request { method: "GET", path: "/events/", query: &query, headers: &[], peer: None };
    /// # let mut stream = events.pull(events.open_request(&request, Access::allow()).stream.unwrap())?;
    /// # let chunk = stream.next_timeout(std::time::Duration::ZERO)?.unwrap();
    /// # assert!(String::from_utf8_lossy(&chunk).contains("changed"));
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn position(&self) -> Position {
        self.app.on_open();
        let log = self.app.hub().log();
        log.position(log.head())
    }

    /// Has clients come back, and the application decide anew whether they may read: after a change of rights or of channels.
    /// They miss nothing by that. In all processes that share a journal.
    ///
    /// Each is asked to wait for another time, from `retry_ms` to twice that. A stream that is just being opened is meant,
    /// too; those that GRIP proxies hold are, unless a stream is named by its id: their clients all wait for the same time.
    /// Fails with `invalid-argument` when nobody is named, with `closed` or `forked`.
    ///
    /// ```
    /// # use evstream::{Config, Events, Who};
    /// # let events = Events::new(Config::new())?;
    /// events.reopen(Who::new().user("bob"))?;
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn reopen(&self, who: Who) -> Result<Ended> {
        self.app.end_meant(who, None)
    }

    /// Ends streams whose clients are not to come back: they are told `forbidden` with this text, of 1,024 bytes at most, and
    /// get nothing that is published after this call. In all processes that share a journal.
    ///
    /// It does not keep anyone from asking again: `authorize` has to refuse that. A stream that is just being opened is
    /// meant, too, and so are those that GRIP proxies hold, as with [`reopen`](Self::reopen), which fails alike.
    ///
    /// ```
    /// # use evstream::{Config, Events, Who};
    /// # let events = Events::new(Config::new())?;
    /// events.disconnect(Who::new().user("bob").channel("room-1"), "you have left the room")?;
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn disconnect(&self, who: Who, text: &str) -> Result<Ended> {
        self.app.end_meant(who, Some(text))
    }

    /// The streams of this process that are meant, from the oldest to the newest: for a list of who is there, and to find the
    /// clients that are behind. Those that GRIP proxies hold are not among them.
    ///
    /// Waits for the threads that write the streams, which takes a millisecond or less; so an
    /// [`Observer`](crate::Observer) must not call it. Fails with `invalid-argument` when nobody is named or an observer
    /// calls it, with `timeout` when an observer has blocked those threads for 5 s, with `closed` or `forked`.
    ///
    /// ```
    /// # use evstream::{Config, Events, Who};
    /// # let events = Events::new(Config::new())?;
    /// for stream in events.streams(Who::new().channel("room-1"))? {
    ///     println!("{:?} from {:?}, {} events behind", stream.user, stream.address, stream.behind);
    /// }
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn streams(&self, who: Who) -> Result<Vec<OpenStream>> {
        self.app.streams(who)
    }

    /// The users who have streams of a channel open in this process, each once, by their names. Fails as
    /// [`streams`](Self::streams).
    ///
    /// ```
    /// # use evstream::{Config, Events};
    /// # let events = Events::new(Config::new())?;
    /// assert!(events.users("room-1")?.is_empty());
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn users(&self, channel: &str) -> Result<Vec<String>> {
        let streams = self.app.streams(Who::new().channel(channel))?;
        Ok(streams
            .into_iter()
            .filter_map(|stream| stream.user)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect())
    }

    /// Figures at this moment; all zero in a forked child, which has no streams.
    pub fn stats(&self) -> Stats {
        if self.app.is_forked() {
            return Stats::default();
        }
        self.app.stats()
    }

    /// Metrics as text, for Prometheus and what reads its format: `OpenMetrics` 1.0, of the media type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`, or else 0.0.4, `text/plain; version=0.0.4; charset=utf-8`.
    ///
    /// Counters begin at 0 with the events, and no label has a value that a client can choose. Empty but for the mark of its
    /// end in a forked child.
    ///
    /// ```
    /// # use evstream::{Config, Events};
    /// let events = Events::new(Config::new())?;
    /// assert!(events.metrics(false).contains("\nevstream_streams 0\n"));
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn metrics(&self, openmetrics: bool) -> String {
        self.app.metrics(openmetrics)
    }

    /// What [`metrics`](Self::metrics) writes, for a registry of the host's.
    pub fn families(&self) -> Vec<Family> {
        self.app.families()
    }

    /// Whether this process can serve, and what is wrong. Looks only at what is there, and waits for nothing.
    ///
    /// ```
    /// # use evstream::{Config, Events};
    /// let events = Events::new(Config::new())?;
    /// assert!(events.health().ready);
    /// events.close(std::time::Duration::from_secs(5))?;
    /// assert_eq!(events.health().problems, ["the events are closed, or about to be"]);
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn health(&self) -> Health {
        self.app.health()
    }

    /// Asks the clients of all streams to come back later, and ends those that have not taken that in by `timeout` from
    /// now. Does not wait for it, and new streams can be opened meanwhile: for a host that is about to stop.
    pub fn end_streams(&self, timeout: Duration) {
        self.app.end_streams(timeout);
    }

    /// Ends everything within `timeout`: refuses further publishing, asks each client to come back later, ends the
    /// streams, servers and subscriptions, delivers what waits for proxies, and ends the threads.
    ///
    /// Blocks until then, or until the time is over, whatever callbacks do. What has not ended by then goes on ending in
    /// the background, and [`Closed::ended`] is false. Whoever calls it again, or at the same time, waits for the same end
    /// and is told the same. In a forked child there is nothing to end.
    ///
    /// Fails with `in-callback` when a callback of these events calls it, such as an `authorize` function, an
    /// [`Observer`] or a waker.
    ///
    /// ```
    /// # use evstream::{Config, Events};
    /// # let events = Events::new(Config::new())?;
    /// let closed = events.close(std::time::Duration::from_secs(5))?;
    /// if !closed.ended {
    ///     eprintln!("a callback is still running");
    /// }
    /// # Ok::<(), evstream::Error>(())
    /// ```
    pub fn close(&self, timeout: Duration) -> Result<Closed> {
        self.app.close(timeout)
    }

    /// What [`close`](Self::close) does, for async code. It begins when the future is polled, and goes on when that is
    /// dropped. Fails also with `io`, when the system has no thread to wait on.
    pub async fn close_async(&self, timeout: Duration) -> Result<Closed> {
        self.app.clone().close_async(timeout).await
    }

    /// Fails with `closed`, or with `forked` in a child of the process that made the events: their threads are not
    /// there. Make new events in each child instead.
    pub fn check_open(&self) -> Result<()> {
        self.app.check_open()
    }

    /// Fails with `forked` in a child of the process that made the events.
    pub fn check_process(&self) -> Result<()> {
        self.app.check_process()
    }
}

impl Channel {
    /// Its name.
    pub fn name(&self) -> &str {
        self.channel.name()
    }

    /// Streams and subscriptions of this process that read it now.
    pub fn streams(&self) -> usize {
        if self.app.is_forked() {
            return 0;
        }
        self.channel.subscribers()
    }

    /// Publishes an event to it, as [`Events::publish`] does.
    pub fn publish(&self, event: Event<'_>) -> Result<Receipt> {
        self.app.publish(&self.channel, &event)
    }
}
