//! Runs the vectors in `tests/vectors`, which every language runs, through the public API.

#[path = "common/sse.rs"]
mod sse;

use std::{fs, path::Path};

use evstream::{
    __internal::{Decoder, encode_event},
    Access, Config, Event, OptionValue, Reply, Request, Screened,
};
use serde_json::{Map, Value};

const GET: Request<'_> = Request { method: "GET", path: "/events/", query: "", headers: &[], peer: None };

#[test]
fn encode() {
    each("encode", &["event", "expected"], |case| {
        let app = App::new(Config::new());
        let stream = app.open_request(&Request { query: "channel=a", ..GET }, Access::allow());
        let event = event(&case["event"]);
        app.publish("a", event.clone()).unwrap();
        let expected = app.fill(text(&case["expected"]));
        assert_eq!(app.next(stream), expected);
        assert_eq!(String::from_utf8(encode_event(Some(&app.position(1)), &event)).unwrap(), expected);
    });
}

#[test]
fn decode() {
    each("decode", &["chunks", "expected"], |case| {
        let mut decoder = Decoder::new();
        let chunks = list(&case["chunks"]).iter().map(text);
        let events = chunks.flat_map(|chunk| decoder.feed(chunk.as_bytes())).map(|event| {
            let name = event.name.unwrap_or_else(|| "message".to_owned());
            serde_json::json!({ "name": name, "data": event.data, "id": event.id })
        });
        let events: Vec<Value> = events.collect();
        let expected = fields(&case["expected"], &["events", "last_event_id", "retry_ms"]);
        assert_eq!(Value::from(events), expected["events"]);
        assert_eq!(decoder.last_event_id(), text(&expected["last_event_id"]));
        assert_eq!(decoder.retry_ms(), expected["retry_ms"].as_u64());

        // The parser that other tests compare with must be right, too.
        let stream: String = list(&case["chunks"]).iter().map(text).collect();
        let seen = sse::parse(stream.as_bytes());
        let events = seen
            .events
            .iter()
            .map(|(name, data, id)| serde_json::json!({ "name": name, "data": data, "id": id }));
        assert_eq!(events.collect::<Value>(), expected["events"]);
        assert_eq!(seen.last_event_id, text(&expected["last_event_id"]));
        assert_eq!(seen.retry_ms, expected["retry_ms"].as_u64());
    });
}

#[test]
fn query() {
    each("query", &["query", "expected"], |case| {
        let app = App::new(Config::new());
        let reply = app.open_request(&Request { query: text(&case["query"]), ..GET }, Access::allow());
        let events = Decoder::new().feed(&reply.body);
        let names: Vec<_> = events.iter().map(|event| event.name.as_deref().unwrap()).collect();
        let data: Value = serde_json::from_str(&events[0].data).unwrap();
        let expected = fields(&case["expected"], &["channels", "resumes", "error"]);
        if let Some(error) = expected.get("error") {
            assert_eq!(names, ["stream-error"]);
            assert_eq!((&data["condition"], &data["text"]), (&Value::from("bad-request"), error));
        } else {
            assert_eq!(
                names,
                ["stream-open", "stream-reset"][..if expected["resumes"] == true { 2 } else { 1 }]
            );
            assert_eq!(data["channels"], expected["channels"]);
        }
    });
}

#[test]
fn position() {
    each("position", &["last_event_id", "via", "expected"], |case| {
        let app = App::new(Config::new());
        for n in 1..=12 {
            app.publish("a", Event::text(n.to_string())).unwrap();
        }
        let id = app.fill(text(&case["last_event_id"]));
        let reply = match text(&case["via"]) {
            "header" => {
                let headers = [("Last-Event-ID", id.as_bytes())];
                app.open_request(&Request { query: "channel=a", headers: &headers, ..GET }, Access::allow())
            }
            "query" => {
                let encoded: Vec<_> = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
                let query = format!("channel=a&lastEventId={}", encoded.concat());
                app.open_request(&Request { query: &query, ..GET }, Access::allow())
            }
            via => panic!("unknown via {via}"),
        };
        let expected = fields(&case["expected"], &["at", "reset", "open_id", "stopped"]);
        if expected.contains_key("stopped") {
            assert_eq!((reply.status, reply.stream.is_none()), (400, true));
            return;
        }
        let mut decoder = Decoder::new();
        let events: Vec<_> = decoder.feed(&reply.body).into_iter().map(|e| (e.name.unwrap(), e.id)).collect();
        let open = "stream-open".to_owned();
        let after = if let Some(at) = expected.get("at") {
            let at = at.as_u64().unwrap();
            assert_eq!(events, [(open, app.position(at))]);
            at
        } else {
            let reason = format!("\"reason\":{}}}\nid: {}\n\n", expected["reset"], app.position(12));
            let open_id = app.fill(text(&expected["open_id"]));
            assert_eq!(events, [(open, open_id), ("stream-reset".to_owned(), app.position(12))]);
            assert!(reply.body.ends_with(reason.as_bytes()));
            12
        };
        let missed = (after + 1..=12).map(|n| format!("data: {n}\nid: {}\n\n", app.position(n)));
        assert_eq!(app.next(reply), missed.collect::<String>());
    });
}

#[test]
fn publish() {
    each("publish", &["config", "needs", "channel", "channel_hex", "event", "expected"], |case| {
        if case.contains_key("needs") {
            assert_eq!(case["needs"], "bytes"); // which a `str` cannot hold
            return;
        }
        let app = App::new(config(case.get("config")));
        let expected = fields(&case["expected"], &["position", "code", "text"]);
        match app.publish(text(&case["channel"]), event(&case["event"])) {
            Ok(position) => assert_eq!(position, app.fill(text(&expected["position"]))),
            Err(error) => {
                assert_eq!(
                    (error.code(), &*error.to_string()),
                    (text(&expected["code"]), text(&expected["text"]))
                );
                assert_eq!(app.publish("a", Event::text("x")).unwrap(), app.position(1));
            }
        }
    });
}

#[test]
fn open() {
    let known = ["config", "published", "held", "closed", "request", "access", "published_after", "expected"];
    each("open", &known, |case| {
        let app = App::new(config(case.get("config")));
        app.publish_all(case.get("published"));
        let asked = fields(&case["request"], &["method", "path", "query", "headers", "peer"]);
        let headers: Vec<(&str, String)> =
            pairs(&asked["headers"]).map(|(name, value)| (name, app.fill(value))).collect();
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let query = app.fill(text(&asked["query"]));
        let request = Request {
            method: text(&asked["method"]),
            path: text(&asked["path"]),
            query: &query,
            headers: &headers,
            peer: asked.get("peer").map(|peer| text(peer).parse().unwrap()),
        };
        let held = case.get("held").map_or(0, |held| held.as_u64().unwrap());
        let held: Vec<Reply> =
            (0..held).map(|_| app.open_request(&request, access(case.get("access")))).collect();
        assert!(held.iter().all(|reply| reply.stream.is_some()));

        if case.get("closed") == Some(&Value::Bool(true)) {
            app.close();
        }
        let reply = app.open_request(&request, access(case.get("access")));
        let expected = fields(&case["expected"], &["status", "headers", "body", "next"]);
        let body = app.fill(text(&expected["body"]));
        app.publish_all(case.get("published_after"));
        assert_eq!(reply.status, expected["status"].as_u64().unwrap() as u16);
        let headers: Vec<_> = reply.headers.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(headers, pairs(&expected["headers"]).collect::<Vec<_>>());
        assert_eq!(String::from_utf8_lossy(&reply.body), body);
        match &expected["next"] {
            Value::Null => assert!(reply.stream.is_none()),
            next => assert_eq!(app.next(reply), app.fill(text(next))),
        }
    });
}

#[test]
fn proxies() {
    each("proxies", &["config", "peer", "headers", "expected"], |case| {
        let app = App::new(config(case.get("config")));
        let headers: Vec<(&str, &[u8])> =
            pairs(&case["headers"]).map(|(name, value)| (name, value.as_bytes())).collect();
        let peer = case["peer"].as_str().map(|peer| peer.parse().unwrap());
        let request = Request { query: "channel=a", headers: &headers, peer, ..GET };
        let Screened::Ask(asked) = app.screen(&request) else { panic!("the request is good") };
        assert_eq!(asked.peer().map(|peer| peer.to_string()).as_deref(), case["expected"].as_str());
    });
}

#[cfg(feature = "runtime")]
#[test]
fn tokens() {
    each("tokens", &["by", "config", "jwt", "query", "headers", "expected"], |case| {
        let app = App::new(config(case.get("config")));
        let jwt = jwt(&case["jwt"]);
        let headers: Vec<(&str, &[u8])> =
            pairs(&case["headers"]).map(|(name, value)| (name, value.as_bytes())).collect();
        let request = Request { query: text(&case["query"]), headers: &headers, ..GET };
        let reply = app.open_by_token(&request, &jwt);
        let expected = fields(&case["expected"], &["channels", "error", "status", "text", "challenge"]);
        if let Some(status) = expected.get("status") {
            assert_eq!(reply.status, status.as_u64().unwrap() as u16);
            assert_eq!(String::from_utf8_lossy(&reply.body).trim_end(), text(&expected["text"]));
            let challenge = reply.headers.iter().find(|(name, _)| *name == "WWW-Authenticate");
            assert_eq!(challenge.map(|(_, value)| &**value), expected["challenge"].as_str());
            return;
        }
        let events = Decoder::new().feed(&reply.body);
        let data: Value = serde_json::from_str(&events[0].data).unwrap();
        let is_open = expected.contains_key("channels");
        assert_eq!(
            events[0].name.as_deref(),
            Some(if is_open { "stream-open" } else { "stream-error" }),
            "{data}"
        );
        let (name, expected) = if is_open { ("channels", "channels") } else { ("text", "error") };
        assert_eq!(data[name], case["expected"][expected]);
    });
}

#[cfg(feature = "runtime")]
fn jwt(value: &Value) -> evstream::Jwt {
    let fields = fields(value, &["keys", "issuer", "audience", "cookie"]);
    let mut keys = list(&fields["keys"]).iter().map(|key| evstream::grip::Key::parse(text(key)).unwrap());
    let mut jwt = evstream::Jwt::new(keys.next().unwrap()).unwrap();
    for key in keys {
        jwt = jwt.key(key).unwrap();
    }
    if let Some(issuer) = fields.get("issuer") {
        jwt = jwt.issuer(text(issuer));
    }
    for audience in fields.get("audience").into_iter().flat_map(list) {
        jwt = jwt.audience(text(audience));
    }
    match fields.get("cookie") {
        Some(name) => jwt.cookie(text(name)).unwrap(),
        None => jwt,
    }
}

#[test]
fn every_file_is_run() {
    let mut files: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    // `grip` and `scenarios` by the tests `grip_vectors` and `pushpin`, the others here.
    let run = [
        "decode",
        "encode",
        "grip",
        "open",
        "position",
        "proxies",
        "publish",
        "query",
        "scenarios",
        "tokens",
    ];
    assert_eq!(files, run.map(|name| format!("{name}.json")));
}

/// The public API through the facade, and without it through what it is made of.
#[cfg(feature = "runtime")]
mod api {
    use std::time::Duration;

    use evstream::{Access, Config, Error, Event, Events, Jwt, Reply, Request, Screened};

    pub(crate) struct Api(Events);

    impl Api {
        pub(crate) fn new(config: Config) -> Self {
            Self(Events::new(config).unwrap())
        }

        pub(crate) fn open_request(&self, request: &Request<'_>, access: Access) -> Reply {
            self.0.open_request(request, access)
        }

        pub(crate) fn screen(&self, request: &Request<'_>) -> Screened {
            self.0.screen(request)
        }

        pub(crate) fn open_by_token(&self, request: &Request<'_>, jwt: &Jwt) -> Reply {
            match self.0.screen(request) {
                Screened::Reply(reply) => reply,
                Screened::Ask(asked) => {
                    let access = self.0.jwt_access(jwt, request, asked.channels());
                    self.0.open(asked, access)
                }
            }
        }

        pub(crate) fn close(&self) {
            drop(self.0.close(Duration::ZERO));
        }

        pub(crate) fn publish(&self, channel: &str, event: Event<'_>) -> Result<String, Error> {
            self.0.publish(channel, event).map(|receipt| receipt.position().unwrap().to_string())
        }

        pub(crate) fn events_published(&self) -> u64 {
            self.0.stats().published
        }

        /// What the stream sends next, all of it.
        pub(crate) fn next(&self, reply: Reply) -> String {
            let mut pull = self.0.pull(reply.stream.expect("a stream follows")).unwrap();
            let mut sent = Vec::new();
            while let Ok(Some(chunk)) = pull.next_timeout(Duration::ZERO) {
                sent.extend_from_slice(&chunk);
            }
            String::from_utf8(sent).unwrap()
        }
    }
}

#[cfg(not(feature = "runtime"))]
mod api {
    use std::sync::Arc;

    use evstream::{
        __internal::{Epoch, Hub, Now, Read, check_channel, open_request, screen},
        Access, Config, Error, Event, Reply, Request, Screened,
    };

    pub(crate) struct Api(Arc<Hub>);

    impl Api {
        pub(crate) fn new(config: Config) -> Self {
            Self(Hub::new(config, Epoch(0x5f3a_9c01)).unwrap())
        }

        pub(crate) fn open_request(&self, request: &Request<'_>, access: Access) -> Reply {
            open_request(&self.0, request, access, Now::default())
        }

        pub(crate) fn screen(&self, request: &Request<'_>) -> Screened {
            screen(&self.0, request, Now::default())
        }

        pub(crate) fn close(&self) {
            self.0.close();
        }

        pub(crate) fn publish(&self, channel: &str, event: Event<'_>) -> Result<String, Error> {
            check_channel(channel)?;
            self.0.check_event(&event)?;
            let log = self.0.log();
            Ok(log.publish(&log.channel(channel, 0), &event, 0).position.to_string())
        }

        pub(crate) fn events_published(&self) -> u64 {
            self.0.log().head()
        }

        /// What the stream sends next, all of it.
        #[expect(clippy::unused_self, reason = "the facade needs it")]
        pub(crate) fn next(&self, reply: Reply) -> String {
            let mut stream = reply.stream.expect("a stream follows");
            let mut sent = Vec::new();
            loop {
                let mut items = Vec::new();
                match stream.read(0, &mut items) {
                    Read::Events if items.is_empty() => return String::from_utf8(sent).unwrap(),
                    Read::Events => items.iter().for_each(|item| sent.extend_from_slice(item.frame.sse())),
                    Read::Notice(frame) => sent.extend_from_slice(frame.sse()),
                    Read::End(close_notice) => {
                        sent.extend_from_slice(stream.last_words(&close_notice).sse());
                        return String::from_utf8(sent).unwrap();
                    }
                }
            }
        }
    }
}

/// An application's events, whose epoch is known.
struct App {
    api: api::Api,
    epoch: String,
}

impl std::ops::Deref for App {
    type Target = api::Api;

    fn deref(&self) -> &api::Api {
        &self.api
    }
}

impl App {
    fn new(config: Config) -> Self {
        let api = api::Api::new(config);
        let reply = api.open_request(&Request { query: "channel=epoch", ..GET }, Access::allow());
        let epoch = Decoder::new().feed(&reply.body)[0].id[..8].to_owned();
        Self { api, epoch }
    }

    fn publish_all(&self, events: Option<&Value>) {
        for (channel, data) in events.into_iter().flat_map(pairs) {
            self.publish(channel, Event::text(data)).unwrap();
        }
    }

    fn position(&self, n: u64) -> String {
        format!("{}-{n:012x}", self.epoch)
    }

    /// Fills in the templates.
    fn fill(&self, text: &str) -> String {
        let Some((before, rest)) = text.split_once("{{") else { return text.to_owned() };
        let (template, after) = rest.split_once("}}").expect("a template ends");
        let filled = match template.split_once(':') {
            None if template == "epoch" => self.epoch.clone(),
            None if template == "head" => self.position(self.events_published()),
            Some(("pos", n)) => self.position(n.parse().unwrap()),
            Some(("other", n)) => {
                let other = if self.epoch.ends_with('0') { "1" } else { "0" };
                format!("{}{other}-{:012x}", &self.epoch[..7], n.parse::<u64>().unwrap())
            }
            _ => panic!("unknown template {template}"),
        };
        [before, &filled, &self.fill(after)].concat()
    }
}

/// Runs each case of a file; on failure the case is named.
fn each(file: &str, known: &[&str], run: impl Fn(&Map<String, Value>)) {
    let file = fs::read_to_string(directory().join(file).with_extension("json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    let cases = list(&fields(&file, &["comment", "cases"])["cases"]);
    assert!(!cases.is_empty());
    for case in cases {
        println!("case: {}", case["name"]);
        run(fields(case, &[known, &["name"]].concat()));
    }
}

fn directory() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

/// The fields of an object, all of which are known.
fn fields<'a>(value: &'a Value, known: &[&str]) -> &'a Map<String, Value> {
    let fields = value.as_object().expect("an object");
    let unknown: Vec<_> = fields.keys().filter(|name| !known.contains(&&***name)).collect();
    assert!(unknown.is_empty(), "unknown fields {unknown:?}");
    fields
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("a list, not {value}"))
}

fn pairs(value: &Value) -> impl Iterator<Item = (&str, &str)> {
    list(value).iter().map(|pair| {
        let [first, second] = list(pair) else { panic!("a pair, not {pair}") };
        (text(first), text(second))
    })
}

fn config(settings: Option<&Value>) -> Config {
    let mut config = Config::new();
    for (name, value) in settings.into_iter().flat_map(|settings| settings.as_object().unwrap()) {
        let value = match value {
            Value::Bool(value) => OptionValue::Flag(*value),
            Value::Number(value) => OptionValue::Integer(value.as_u64().unwrap()),
            Value::String(value) => OptionValue::Text(value.clone()),
            value => OptionValue::List(list(value).iter().map(|item| text(item).to_owned()).collect()),
        };
        config.set(name, value).unwrap();
    }
    config
}

fn event(value: &Value) -> Event<'_> {
    let fields = fields(value, &["name", "data", "data_repeat", "json", "retry_ms", "comment"]);
    let mut event = match (fields.get("json"), fields.get("data_repeat")) {
        (Some(json), _) => Event::json(json).unwrap(),
        (_, Some(repeat)) => Event::text(text(&repeat[0]).repeat(repeat[1].as_u64().unwrap() as usize)),
        _ => Event::text(text(&fields["data"])),
    };
    if let Some(name) = fields.get("name") {
        event = event.name(text(name));
    }
    if let Some(retry_ms) = fields.get("retry_ms") {
        event = event.retry_ms(retry_ms.as_u64().unwrap());
    }
    if let Some(comment) = fields.get("comment") {
        event = event.comment(text(comment));
    }
    event
}

fn access(value: Option<&Value>) -> Access {
    let Some(value) = value else { return Access::allow() };
    let (what, value) = fields(value, &["channels", "forbid", "fail", "user"]).iter().next().unwrap();
    match &**what {
        "channels" => Access::channels(list(value).iter().map(text)),
        "forbid" => Access::forbid(text(value)),
        "fail" => Access::fail(text(value)),
        _ => Access::allow().user(text(value)),
    }
}
