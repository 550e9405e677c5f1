//! Tickets at the library's own server, from the request to the end of the stream.
#![cfg(feature = "runtime")]

mod common;

use std::time::{Duration, SystemTime};

use common::{Client, Conn, Over, closed, publish, serve_mounts, until};
use evstream::{Access, CloseReason, Config, ErrorKind, Event, Events, Mount, Tickets, Who};

const SECRET: &str = "a secret of some length";

fn tickets() -> Tickets {
    Tickets::new("live").unwrap()
}

fn config() -> Config {
    Config::new().ticket_secret(SECRET.into())
}

fn mount() -> Mount {
    Mount::new("/live/").tickets(tickets())
}

fn access() -> Access {
    Access::channels(["a", "b"]).user("bob")
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_ticket_of_another_process_opens_a_stream_of_its_user_and_channels() {
    let (events, server) = serve_mounts(config(), [mount()]);
    let other = Events::new(config()).unwrap();
    let ticket = other.ticket(&tickets(), &access()).unwrap();
    let mut client = Client::get(&server, &format!("/live/?ticket={ticket}&channel=b"));
    assert_eq!(client.expect("stream-open").data, r#"{"channels":["b"]}"#);
    publish(&events, "b", ["x"]);
    assert_eq!(client.data(), "x");
    events.disconnect(Who::new().user("bob"), "bye").unwrap();
    assert!(client.expect("stream-error").data.contains("bye"));
    let mut client = Client::get(&server, &format!("/live/?ticket={ticket}&channel=c"));
    assert!(client.expect("stream-error").data.contains("does not grant the channel"));
}

#[test]
fn of_two_streams_with_a_ticket_the_newest_stays() {
    let (events, server) = serve_mounts(config(), [mount()]);
    for access in [access(), Access::channels(["a"])] {
        let ended_before = closed(&events, CloseReason::Replaced);
        let ticket = events.ticket(&tickets(), &access).unwrap();
        let target = format!("/live/?ticket={ticket}");
        let mut first = Client::get(&server, &target);
        first.expect("stream-open");
        let mut second = Client::get(&server, &target);
        second.expect("stream-open");
        first.read_until(|client| client.close_notice().is_some());
        assert_eq!(first.close_notice(), Some("replaced"));
        assert_eq!(first.read_to_end().1, Over::Complete);
        // Another ticket for the same has its own.
        let other = events.ticket(&tickets(), &access).unwrap();
        Client::get(&server, &format!("/live/?ticket={other}")).expect("stream-open");
        publish(&events, "a", ["x"]);
        assert_eq!(second.data(), "x");
        assert_eq!(closed(&events, CloseReason::Replaced), ended_before + 1);
    }
}

#[test]
fn a_stream_ends_with_its_ticket() {
    let (events, server) = serve_mounts(config(), [mount()]);
    let short = tickets().lasts_s(3).unwrap();
    let ticket = events.ticket(&short, &access()).unwrap();
    let mut client = Client::get(&server, &format!("/live/?ticket={ticket}"));
    client.read_until(|client| client.close_notice().is_some());
    assert_eq!(client.close_notice(), Some("expired"));
    until("it is counted", || closed(&events, CloseReason::Expired) == 1);
}

#[test]
fn what_is_refused_is_counted_and_told_by_status_to_who_reads_no_streams() {
    let (events, server) =
        serve_mounts(config(), [mount(), Mount::new("/other/").tickets(Tickets::new("other").unwrap())]);
    let ticket = events.ticket(&tickets(), &access()).unwrap();
    let mut conn = Conn::open(&server);
    let (head, body) = conn.request("GET", "/live/", &[]).response();
    assert_eq!((head.status, &*body), (401, "a ticket is needed\n"));
    assert_eq!(head.header("www-authenticate"), Some("evstream-ticket"));
    for (at, target) in
        [format!("/other/?ticket={ticket}"), format!("/live/?ticket={}", &ticket[..ticket.len() - 1])]
            .into_iter()
            .enumerate()
    {
        let in_band = [("Accept", "text/event-stream")];
        let (head, body) = conn.request("GET", &target, &in_band).response();
        assert_eq!(head.status, 200);
        assert!(body.starts_with("event: stream-error\n") && body.contains("forbidden"), "{body}");
        assert!(body.contains("the ticket is not accepted"), "{body}");
        assert_eq!(events.stats().tokens_refused, at as u64 + 2);
    }
    assert_eq!(events.stats().opened, 0);
}

#[test]
fn a_ticket_is_for_what_is_granted_for_certain() {
    let events = Events::new(config()).unwrap();
    let kind = |access: Access| events.ticket(&tickets(), &access).unwrap_err().kind();
    for access in [
        Access::allow(),
        Access::forbid("no"),
        Access::fail("later"),
        Access::channels(Vec::<String>::new()),
        Access::channels(["@user/bob"]),
        Access::channels(["a\nb"]),
        access().user(""),
        access().expires_at(now_s()),
        access().since(events.position()),
        access().greet(&Event::text("hello")),
    ] {
        assert_eq!(kind(access.clone()), ErrorKind::InvalidArgument, "{access:?}");
    }
    let roomy = Events::new(config().channel_limit(16)).unwrap();
    let many = Access::channels((0..16).map(|n| format!("{n:0>200}")));
    assert_eq!(roomy.ticket(&tickets(), &many).unwrap_err().kind(), ErrorKind::TooLarge);
    for refused in
        [tickets().lasts_s(0), tickets().lasts_s(604_801), tickets().open_within_s(0), Tickets::new("")]
    {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    }
    assert_eq!(
        Events::new(Config::new().ticket_secret("short".into())).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
}

#[test]
fn without_a_secret_a_ticket_is_of_one_process_alone() {
    let (events, server) = serve_mounts(Config::new(), [mount()]);
    let own = events.ticket(&tickets(), &access()).unwrap();
    Client::get(&server, &format!("/live/?ticket={own}")).expect("stream-open");
    let other = Events::new(Config::new()).unwrap().ticket(&tickets(), &access()).unwrap();
    let mut conn = Conn::open(&server);
    let (head, body) = conn.request("GET", &format!("/live/?ticket={other}"), &[]).response();
    assert_eq!((head.status, &*body), (401, "the ticket is not accepted\n"));
    let folder = std::env::temp_dir().join(format!("evstream-tickets-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let shared =
        Events::new(Config::new().journal(format!("file:{}", folder.join("j").display()).into())).unwrap();
    assert_eq!(shared.ticket(&tickets(), &access()).unwrap_err().kind(), ErrorKind::InvalidConfig);
    assert!(shared.close(Duration::from_secs(10)).is_ok());
    std::fs::remove_dir_all(folder).unwrap();
}
