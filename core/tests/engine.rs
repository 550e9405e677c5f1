//! The socket engine, given sockets of every kind: what arrives, and when a stream ends.
#![cfg(feature = "runtime")]

mod common;

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

use common::{Client, Conn, Over, PATIENCE, Unframe, closed, noise, publish, serve, until};
use evstream::{__internal::Decoder, Access, CloseReason, Config, Event, Events, Framing, Request, Stream};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

/// A stream of these channels, at the newest event.
fn stream(events: &Events, channels: &[&str]) -> Stream {
    let request = Request { method: "GET", path: "/", query: "", headers: &[], peer: None };
    events.open_request(&request, Access::channels(channels.iter().copied())).stream.unwrap()
}

fn tcp_pair() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener.accept().unwrap().0.into(), theirs.into())
}

fn unix_pair() -> (Socket, Socket) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    (Socket::from(OwnedFd::from(ours)), Socket::from(OwnedFd::from(theirs)))
}

/// Gives the engine one end of a pair; the other is the client's.
fn adopt(events: &Events, channels: &[&str], pair: (Socket, Socket), framing: Framing) -> Client {
    let (ours, theirs) = pair;
    events.adopt(stream(events, channels), ours.into(), framing, Vec::new()).unwrap();
    let body = if framing == Framing::Chunked { Unframe::chunked() } else { Unframe::UntilClose };
    Client::headless(Conn::new(theirs), body)
}

const PAIRS: [fn() -> (Socket, Socket); 2] = [tcp_pair, unix_pair];
const FRAMINGS: [Framing; 2] = [Framing::Chunked, Framing::Close];

#[test]
fn any_socket_is_adopted_with_any_framing() {
    for pair in PAIRS {
        for framing in FRAMINGS {
            let events = Events::new(Config::new()).unwrap();
            let (ours, theirs) = pair();
            let first: &[u8] = match framing {
                Framing::Chunked => b"c\r\ndata: first\n\r\n1\r\n\n\r\n",
                _ => b"data: first\n\n",
            };
            events.adopt(stream(&events, &["a", "b"]), ours.into(), framing, first.to_vec()).unwrap();
            publish(&events, "b", ["second"]);
            publish(&events, "a", ["third"]);
            let body = if framing == Framing::Chunked { Unframe::chunked() } else { Unframe::UntilClose };
            let mut client = Client::headless(Conn::new(theirs), body);
            for text in ["first", "second", "third"] {
                assert_eq!(client.data(), text);
            }
            events.close(PATIENCE).unwrap();
            assert_eq!(client.read_to_end(), (vec![], Over::Complete));
            assert_eq!(client.close_notice(), Some("shutdown"));
        }
    }
}

#[test]
fn what_cannot_be_adopted_is_refused() {
    let events = Events::new(Config::new()).unwrap();
    let others = Events::new(Config::new()).unwrap();
    let code = |stream, socket: OwnedFd| {
        events.adopt(stream, socket, Framing::Close, Vec::new()).map_err(|refused| refused.error.code())
    };
    assert_eq!(code(stream(&others, &["a"]), unix_pair().0.into()), Err("invalid-argument"));
    assert_eq!(others.pull(stream(&events, &["a"])).unwrap_err().code(), "invalid-argument");
    // A socket whose client has left already is taken, and the stream ends.
    assert_eq!(code(stream(&events, &["a"]), unix_pair().0.into()), Ok(()));
    until("it has ended", || closed(&events, CloseReason::Client) == 1);
    assert_eq!((events.stats().open, others.stats().open), (0, 0));
}

#[test]
fn only_connected_stream_sockets_are_adopted_and_the_rest_comes_back() {
    let events = Events::new(Config::new()).unwrap();
    let socket = |domain, kind| Socket::new(domain, kind, None).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let unix_listener = socket(Domain::UNIX, Type::STREAM);
    unix_listener.bind(&SockAddr::unix("").unwrap()).unwrap(); // a name of the system's choice
    unix_listener.listen(1).unwrap();
    let bound = socket(Domain::IPV4, Type::STREAM);
    bound.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let refused: [(OwnedFd, &str); 11] = [
        (File::open("/dev/null").unwrap().into(), "no socket"),
        (File::open("/").unwrap().into(), "no socket"),
        (io::pipe().unwrap().1.into(), "no socket"),
        (listener.try_clone().unwrap().into(), "a listening socket"),
        (unix_listener.into(), "a listening socket"),
        (socket(Domain::IPV4, Type::STREAM).into(), "not connected"),
        (bound.into(), "not connected"),
        (socket(Domain::UNIX, Type::STREAM).into(), "not connected"),
        (socket(Domain::IPV6, Type::DGRAM).into(), "messages"),
        (Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap().0.into(), "messages"),
        (Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap().0.into(), "messages"),
    ];
    for (socket, what) in refused {
        let fd = socket.as_raw_fd();
        let stream = stream(&events, &["a"]);
        let refused = events.adopt(stream, socket, Framing::Close, Vec::new()).unwrap_err();
        assert_eq!(refused.error.code(), "invalid-argument");
        let text = refused.to_string();
        assert!(text.contains(what) && text.contains("only a connected"), "{what}: {text}");
        assert_eq!(refused.socket.as_raw_fd(), fd);
        let mut pull = events.pull(refused.stream).unwrap();
        publish(&events, "a", ["still here"]);
        let chunk = pull.next_timeout(PATIENCE).unwrap().unwrap();
        assert!(String::from_utf8_lossy(&chunk).contains("still here"));
    }
    // It was not shut down either.
    let client = TcpStream::connect(address).unwrap();
    assert_eq!(listener.accept().unwrap().1, client.local_addr().unwrap());
    assert_eq!(events.stats().open, 0);
}

#[test]
fn a_connection_that_was_reset_meanwhile_is_adopted_and_ends() {
    let events = Events::new(Config::new()).unwrap();
    for read_first in [false, true] {
        let (ours, theirs) = tcp_pair();
        SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
        drop(theirs);
        if read_first {
            let error = (&ours).read(&mut [0]).unwrap_err(); // which takes the error off the socket
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        events.adopt(stream(&events, &["a"]), ours.into(), Framing::Close, Vec::new()).unwrap();
    }
    until("they have ended", || closed(&events, CloseReason::Client) == 2);
}

#[test]
fn ending_a_stream_ends_the_connection_whoever_holds_the_descriptor() {
    let events = Events::new(Config::new()).unwrap();
    for (ours, theirs) in PAIRS.map(|pair| pair()) {
        let held = ours.try_clone().unwrap();
        let mut client = adopt(&events, &["a"], (ours, theirs), Framing::Close);
        publish(&events, "a", ["x"]);
        assert_eq!(client.data(), "x");
        drop(client);
        until("the stream has ended", || events.stats().open == 0);
        assert!((&held).write(b"x").is_err(), "it is shut down");
    }
    let (ours, theirs) = tcp_pair();
    let _held = ours.try_clone().unwrap();
    let mut client = adopt(&events, &["a"], (ours, theirs), Framing::Close);
    events.close(PATIENCE).unwrap();
    assert_eq!(client.read_to_end().1, Over::Complete);
}

/// Nothing is ever written here, so nothing but the socket itself can tell.
#[test]
fn the_end_of_a_connection_is_noticed_without_a_write() {
    let (events, server) = serve(Config::new().keep_alive_ms(0));
    let open = || Client::open(&server, "/events/?channel=a");
    let clients = [open(), open(), open()];
    let bystander = open();
    let [left, reset, half_closed] = clients;
    drop(left);
    until("one has left", || events.stats().open == 3);
    reset.conn.reset();
    until("one has reset", || events.stats().open == 2);
    half_closed.conn.socket.shutdown(Shutdown::Write).unwrap();
    until("one has said that it is done", || events.stats().open == 1);
    assert_eq!(closed(&events, CloseReason::Client), 3);
    let mut unix = adopt(&events, &["a"], unix_pair(), Framing::Close);
    publish(&events, "a", ["x"]);
    assert_eq!(unix.data(), "x");
    drop(unix);
    until("one has left", || events.stats().open == 1);
    drop(bystander);
    until("all have left", || events.stats().open == 0);
}

#[test]
fn a_client_may_talk_a_little() {
    let (events, server) = serve(Config::new().keep_alive_ms(0));
    let mut client = Client::open(&server, "/events/?channel=a");
    for i in 0..60 {
        client.conn.send(noise(1_000, i));
        let text = i.to_string();
        publish(&events, "a", [&*text]);
        assert_eq!(client.data(), text);
    }
    client.conn.send_what_is_taken(noise(100_000, 0));
    until("it has talked too much", || events.stats().open == 0);
    assert_eq!(closed(&events, CloseReason::Client), 1);
}

#[test]
fn keep_alives_move_the_position_on() {
    for comment in [false, true] {
        let (events, server) =
            serve(Config::new().keep_alive_ms(50).keep_alive_comment(comment).history_events(3));
        let mut client = Client::open(&server, "/events/?channel=quiet");
        let opened_at = client.last_id().to_owned();
        publish(&events, "busy", ["1", "2", "3", "4", "5", "6", "7"]);
        let last = events.publish("busy", Event::text("8")).unwrap().position().unwrap().to_string();
        assert_ne!(opened_at, last);
        if comment {
            client.read_until(|client| client.last_id() == last);
            assert!(String::from_utf8_lossy(&client.text).contains(&format!(":\nid: {last}\n\n")));
        } else {
            let mut event = client.expect("keep-alive");
            while event.id != last {
                event = client.expect("keep-alive");
            }
            assert_eq!(event.data, "");
        }
        drop(client);
        // The events of other channels that this one's position has passed are long gone, and it does not matter.
        let mut client = Client::resume(&server, "/events/?channel=quiet", &last);
        client.expect("stream-open");
        publish(&events, "quiet", ["x"]);
        let mut event = client.event();
        while event.name.as_deref() == Some("keep-alive") {
            event = client.event();
        }
        assert_eq!(event.data, "x");
    }
}

#[test]
fn streams_end_of_age() {
    for (ours, theirs) in PAIRS.map(|pair| pair()) {
        let events = Events::new(Config::new().max_age_ms(200).retry_ms(0)).unwrap();
        let before = Instant::now();
        let mut client = adopt(&events, &["a"], (ours, theirs), Framing::Chunked);
        publish(&events, "a", ["x"]);
        assert_eq!(client.read_to_end(), (vec!["x".to_owned()], Over::Complete));
        assert!(before.elapsed() >= Duration::from_millis(200));
        assert_eq!((client.close_notice(), client.retry_ms()), (Some("max-age"), Some(0)));
        until("it has ended", || closed(&events, CloseReason::MaxAge) == 1);
    }
}

/// Small buffers, so that writes end at arbitrary places.
#[test]
fn large_events_arrive_whole_through_narrow_sockets() {
    let sizes = [1_048_576, 1, 100_000, 0, 1_048_576, 4_096, 65_536, 300_000];
    for pair in PAIRS {
        for framing in FRAMINGS {
            let events = Events::new(Config::new()).unwrap();
            let (ours, theirs) = pair();
            // Smaller ones have TCP wait for its timers with each kilobyte.
            ours.set_send_buffer_size(8_192).unwrap();
            theirs.set_recv_buffer_size(16_384).unwrap();
            let mut client = adopt(&events, &["a", "b"], (ours, theirs), framing);
            let published: Vec<String> =
                sizes.iter().enumerate().map(|(seed, &bytes)| noise(bytes, seed as u64)).collect();
            for (text, channel) in published.iter().zip(["a", "b"].into_iter().cycle()) {
                publish(&events, channel, [&**text]);
            }
            let mut random = fastrand::Rng::with_seed(7);
            let mut got = Vec::new();
            while got.len() < published.len() {
                let bytes = random.usize(1..20_000);
                client.conn.fill_at_most(bytes).unwrap();
                got.extend(client.arrived().into_iter().map(|event| event.data));
            }
            assert!(got == published, "{framing:?}: what arrived is not what was published");
            events.close(PATIENCE).unwrap();
            assert_eq!(client.read_to_end(), (vec![], Over::Complete));
        }
    }
}

#[test]
fn the_figures_agree_with_what_arrived() {
    let events = Events::new(Config::new().keep_alive_ms(0)).unwrap();
    let (ours, theirs) = unix_pair();
    ours.set_send_buffer_size(1).unwrap();
    let mut narrow = adopt(&events, &["a"], (ours, theirs), Framing::Close);
    let mut wide = adopt(&events, &["a", "b"], tcp_pair(), Framing::Close);
    for seed in 0..500 {
        publish(&events, "a", [&*noise(700, seed)]);
        publish(&events, "b", ["short"]);
    }
    for _ in 0..500 {
        narrow.data();
    }
    for _ in 0..1_000 {
        wide.data();
    }
    let bytes = (narrow.text.len() + wide.text.len()) as u64;
    // An event that was read may not have been counted yet.
    until("all is counted", || events.stats().deliveries >= 1_500 && events.stats().bytes >= bytes);
    let stats = events.stats();
    assert_eq!((stats.deliveries, stats.bytes, stats.published), (1_500, bytes, 1_000));
    assert_eq!((stats.open, stats.opened, stats.channels), (2, 2, 2));
}

/// One that takes a little now and then is slow, not dead, even if that is too little for the poller to tell.
#[test]
fn a_slow_reader_is_not_a_dead_one() {
    let events = Events::new(Config::new().write_timeout_ms(3_000).keep_alive_ms(0)).unwrap();
    let (ours, theirs) = unix_pair();
    ours.set_send_buffer_size(2_000_000).unwrap();
    let mut slow = adopt(&events, &["a"], (ours, theirs), Framing::Close);
    let dead = adopt(&events, &["a"], unix_pair(), Framing::Close);
    let published: Vec<String> = (0..40).map(|seed| noise(100_000, seed)).collect();
    publish(&events, "a", published.iter().map(|text| &**text));
    let mut got = 0;
    while closed(&events, CloseReason::WriteTimeout) == 0 {
        // The pace is the point: far less in each timeout than would make the socket writable for the poller.
        std::thread::sleep(Duration::from_millis(500));
        slow.conn.fill_at_most(40_000).unwrap();
        got += slow.arrived().len();
    }
    let ended = Instant::now();
    while ended.elapsed() < Duration::from_millis(1_500) {
        std::thread::sleep(Duration::from_millis(500));
        slow.conn.fill_at_most(40_000).unwrap();
        got += slow.arrived().len();
    }
    for text in &published[got..] {
        assert!(slow.data() == *text);
    }
    assert_eq!((events.stats().open, closed(&events, CloseReason::WriteTimeout)), (1, 1));
    drop(dead);
}

#[test]
fn a_dead_reader_is_given_up_and_its_place_comes_back() {
    let (events, server) =
        serve(Config::new().write_timeout_ms(200).max_streams(2).keep_alive_ms(0).history_events(0));
    let mut dead = Client::open(&server, "/events/?channel=a");
    let mut well = Client::open(&server, "/events/?channel=a&channel=b");
    // Each fits into the socket of a client that has read the one before: however late that one gets the processor, it
    // never holds up the server. All together are more than the sockets of one that does not read can hold.
    let text = noise(32_000, 0);
    let published = 500;
    for _ in 0..published {
        publish(&events, "a", [&*text]);
        assert!(well.data() == text);
    }
    until("the dead one is given up", || closed(&events, CloseReason::WriteTimeout) == 1);
    assert_eq!(events.stats().open, 1);
    let mut next = Client::open(&server, "/events/?channel=a");
    publish(&events, "a", ["x"]);
    assert_eq!([well.data(), next.data()], ["x", "x"]);
    // What it had been sent before is there, and then the connection ends in the middle.
    let (data, over) = dead.read_to_end();
    assert!(data.len() < published && data.iter().all(|got| *got == text));
    assert_ne!(over, Over::Complete);
}

/// Many streams that read different sets come and go while events are published, so that the places of streams in
/// the engine's lists are taken and given up in every order.
#[test]
fn streams_come_and_go_in_any_order() {
    let events = Events::new(Config::new().shards(2)).unwrap();
    let names = ["a", "b", "c", "d"];
    let mut random = fastrand::Rng::with_seed(3);
    let mut clients: Vec<(Vec<&str>, Client, Vec<String>)> = Vec::new();
    let mut left = 0;
    for round in 0..400 {
        if clients.len() < 30 || random.bool() {
            let channels = random.choose_multiple(names, random.clone().usize(1..=4));
            let pair = PAIRS[random.usize(0..2)]();
            let framing = FRAMINGS[random.usize(0..2)];
            clients.push((channels.clone(), adopt(&events, &channels, pair, framing), Vec::new()));
        } else {
            clients.swap_remove(random.usize(0..clients.len()));
            left += 1;
        }
        let (channel, text) = (names[random.usize(0..4)], round.to_string());
        publish(&events, channel, [&*text]);
        for (channels, _, expected) in &mut clients {
            if channels.contains(&channel) {
                expected.push(text.clone());
            }
        }
    }
    for (channels, client, expected) in &mut clients {
        for text in expected {
            assert_eq!(client.data(), *text, "{channels:?}");
        }
    }
    until("those that left have ended", || closed(&events, CloseReason::Client) == left);
    assert_eq!(events.stats().open, clients.len() as u64);
    for name in names {
        let readers = clients.iter().filter(|(channels, ..)| channels.contains(&name)).count();
        assert_eq!(events.channel(name).unwrap().streams(), readers);
    }
    events.close(PATIENCE).unwrap();
    for (_, mut client, _) in clients {
        assert_eq!(client.read_to_end(), (vec![], Over::Complete));
    }
}

#[test]
fn a_burst_is_the_same_whoever_reads_it() {
    let (events, server) = serve(Config::new().history_events(10_000));
    let mut clients: Vec<Client> = (0..8).map(|_| Client::open(&server, "/events/?channel=a")).collect();
    for i in 0..5_000 {
        publish(&events, "a", [&*noise(fastrand::usize(0..300), i)]);
    }
    let last = events.publish("a", Event::text("end")).unwrap().position().unwrap().to_string();
    let texts: Vec<Vec<u8>> = clients
        .iter_mut()
        .map(|client| {
            client.read_until(|client| client.last_id() == last);
            client.text[client.text.windows(2).position(|w| w == b"\n\n").unwrap()..].to_vec()
        })
        .collect();
    assert!(texts.iter().all(|text| *text == texts[0]));
    assert_eq!(Decoder::new().feed(&texts[0]).len(), 5_001);
}
