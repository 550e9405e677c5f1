//! Every setting, said once: its name in all languages, its default, its limits and what it does.
//!
//! The table is the `options!` block below; the macro makes the struct, the setters and the list for bindings of it.

mod network;
mod value;

pub(crate) use network::Trusted;
pub use value::{ForwardedHeader, OptionKind, OptionSpec, OptionValue, OverUserLimit, Secret, SlowClient};

use value::{Setting, refused};

use crate::{
    error::{Error, ErrorKind, Result},
    wire::protocol::DEFAULT_GRIP_PREFIX,
};

macro_rules! options {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident $(($($limit:tt)+))? = $default:expr;)+) => {
        /// The settings of an [`Events`](crate::Events). Values out of range are refused when the `Events` is made.
        ///
        /// ```
        /// use evstream::Config;
        /// let config = Config::new().history_events(100).keep_alive_ms(15_000);
        /// assert!(config.check().is_ok());
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(pub(crate) $name: options!(@type $kind $(($($limit)+))?),)+
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: options!(@value $kind $default),)+ }
            }
        }

        impl Config {
            /// Every setting, for bindings and documentation.
            pub const OPTIONS: &'static [OptionSpec] = &[$(OptionSpec {
                name: stringify!($name),
                kind: options!(@kind $kind $(($($limit)+))?),
                default: options!(@text $kind $default),
                doc: concat!($($doc),+),
            },)+];

            $($(#[doc = $doc])+
            #[doc = ""]
            #[doc = concat!("Default: `", stringify!($default), "`.")]
            pub fn $name(mut self, $name: options!(@type $kind $(($($limit)+))?)) -> Self {
                self.$name = $name;
                self
            })+

            /// Sets a setting by its name. Fails with `invalid-config`, saying what is allowed.
            pub fn set(&mut self, name: &str, value: OptionValue) -> Result<()> {
                let option = Self::find(name)?;
                match name {
                    $(stringify!($name) => {
                        let setting: options!(@type $kind $(($($limit)+))?) =
                            Setting::from_value(value.clone()).ok_or_else(|| refused(option, &value))?;
                        setting.check(option)?;
                        self.$name = setting;
                    })+
                    _ => unreachable!("find() knows every name"),
                }
                Ok(())
            }

            /// Refuses values out of range with `invalid-config`, saying what is allowed.
            pub fn check(&self) -> Result<()> {
                $(self.$name.check(Self::find(stringify!($name))?)?;)+
                Ok(())
            }
        }
    };
    (@type Integer $limit:tt) => { u64 };
    (@type Flag) => { bool };
    (@type List) => { Vec<String> };
    (@type Secret) => { Secret };
    (@type Secrets) => { Vec<Secret> };
    (@type Text) => { String };
    (@type Choice($type:ident)) => { $type };
    (@value Text $default:expr) => { $default.to_owned() };
    (@value $kind:ident $default:expr) => { $default };
    (@text Integer $default:literal) => { stringify!($default) };
    (@text Flag $default:literal) => { stringify!($default) };
    (@text Choice $default:expr) => { $default.name() };
    (@text Text $default:expr) => { $default };
    (@text $kind:ident $default:expr) => { "" };
    (@kind Integer($min:literal..=$max:literal)) => { OptionKind::Integer { min: $min, max: $max } };
    (@kind Flag) => { OptionKind::Flag };
    (@kind List) => { OptionKind::List };
    (@kind Secret) => { OptionKind::Secret };
    (@kind Secrets) => { OptionKind::Secrets };
    (@kind Text) => { OptionKind::Text };
    (@kind Choice($type:ident)) => { OptionKind::Choice($type::NAMES) };
}

options! {
    /// Events each channel keeps for clients that come back. 0 turns history off: then a client that missed an
    /// event is told so with a `stream-reset`.
    history_events: Integer(0..=10_000_000) = 1_000;
    /// How long an event is kept, in milliseconds.
    history_age_ms: Integer(1..=86_400_000) = 300_000;
    /// Bytes that all channels together keep; the oldest events of all channels make room first. The newest event
    /// is kept whatever its size. A channel that has events counts as some 300 bytes, and channels without any, which are
    /// kept for three minutes, take an eighth of this at most where there are many.
    history_bytes: Integer(4_096..=1_099_511_627_776) = 67_108_864;
    /// Events a channel with open streams keeps at least, which is how far a slow stream may fall behind.
    backlog_events: Integer(1..=10_000_000) = 16_384;
    /// Channels one stream may have; 18 at most with a GRIP proxy, 17 with `user_channel`.
    channel_limit: Integer(1..=1_000) = 10;
    /// Largest event, in bytes of data and comment.
    max_event_bytes: Integer(1..=1_073_741_824) = 1_048_576;
    /// Milliseconds without an event after which a `keep-alive` is sent. 0 turns keep-alives off.
    keep_alive_ms: Integer(0..=3_600_000) = 20_000;
    /// Sends keep-alives as a comment, which a page does not see, instead of a `keep-alive` event.
    keep_alive_comment: Flag = false;
    /// Milliseconds in which a client's socket must accept at least one byte before its stream, or another answer, is
    /// given up and the connection closed.
    write_timeout_ms: Integer(10..=3_600_000) = 30_000;
    /// What a stream that has fallen behind the backlog gets: `reset` tells it and goes on, `close` closes it so
    /// that the client comes back.
    slow_client: Choice(SlowClient) = SlowClient::Reset;
    /// Milliseconds after which a stream is closed so that the client comes back; up to a tenth is added at random.
    /// 0 lets streams live for ever.
    max_age_ms: Integer(0..=604_800_000) = 0;
    /// Milliseconds after which a stream is closed so that the client comes back and the application decides anew whether it may
    /// read; up to a tenth is added at random. 0 lets a decision hold for as long as the stream.
    reauthorize_ms: Integer(0..=604_800_000) = 0;
    /// Milliseconds a client is asked to wait when the server closes its stream, or cannot open one now (then a second
    /// at least); up to as much again is added, another part of it for each client, so that they do not come back all
    /// at once.
    retry_ms: Integer(0..=3_600_000) = 2_000;
    /// Streams open at once; one more client is asked to come back later. 0 sets no limit.
    max_streams: Integer(0..=100_000_000) = 0;
    /// Streams open at once from one client address, or from one /64 network of IPv6; one more client is asked to come
    /// back later. 0 sets no limit.
    max_streams_per_address: Integer(0..=100_000_000) = 0;
    /// Streams open at once in this process of one user, as the application names them; `over_user_limit` says what becomes of
    /// one more. Streams that a GRIP proxy holds do not count. 0 sets no limit.
    max_streams_per_user: Integer(0..=100_000_000) = 0;
    /// Has each stream of a user, as the application names them, read the user's own channel too, which `publish_to_user`
    /// publishes to. It leaves `channel_limit` one less with a GRIP proxy, and users' names 250 bytes.
    user_channel: Flag = false;
    /// The secret that signs tickets, 16 bytes or more, the same in all processes; a random one of this process when it is
    /// not set, so that the tickets of others and of before a restart are refused. A journal needs it to be set.
    ticket_secret: Secret = Secret::default();
    /// What happens when a user opens one stream more: `replace` ends the oldest, which may be a client that is gone and has
    /// not been missed yet, and tells it to come back in a day; `refuse` asks the new client to come back later.
    over_user_limit: Choice(OverUserLimit) = OverUserLimit::Replace;
    /// Proxies whose word on clients' addresses counts: addresses, networks such as `10.0.0.0/8`, and `unix` for requests
    /// without an address, as they come by a Unix socket. The client is the right-most in `forwarded_header` that is none of
    /// these; limits per address go by it, and what functions for access are shown.
    trusted_proxies: List = Vec::new();
    /// Where those proxies say whom a request comes from: the one header that they write. A client may write the other.
    forwarded_header: Choice(ForwardedHeader) = ForwardedHeader::XForwardedFor;
    /// Whether each connection to the library's server begins with a header of the PROXY protocol, version 1 or 2, which tells its
    /// client's address. Connections are then taken of `trusted_proxies` alone; others, and those without a header within
    /// `header_timeout_ms`, are closed, and counted as `connections_refused`.
    proxy_protocol: Flag = false;
    /// Origins that may read streams across sites: exact, as browsers send them, such as `https://example.com`, or
    /// `*` for any.
    cors_origins: List = Vec::new();
    /// Lets pages of those origins send cookies. WARNING: with `*` any site can then read what its visitors may read.
    cors_credentials: Flag = false;
    /// Request headers those pages may set besides `Last-Event-ID` and `Cache-Control`.
    cors_headers: List = Vec::new();
    /// GRIP proxies, as `GRIP_URL` has them: `http://localhost:5561?key=...`. Streams of requests that come through one
    /// are handed over to it, and events are published to all.
    grip: Secrets = Vec::new();
    /// The key that verifies the `Grip-Sig` of requests, for proxies whose URL has none: text, `base64:`, PEM or JWK.
    grip_verify_key: Secret = Secret::default();
    /// Put before the name of every channel on the proxies.
    grip_prefix: Text = DEFAULT_GRIP_PREFIX;
    /// Answers requests that did not come through a proxy with 501.
    grip_required: Flag = false;
    /// Says that no other process publishes to these channels: then a proxy notices what it has missed and has it repaired,
    /// in order, before a client can come back without it. Set in one of several publishers, it hides the events of the
    /// others. Without it what any process publishes arrives live, and what got lost on the way to a proxy stays lost.
    grip_sole_publisher: Flag = false;
    /// Believes any `Grip-Sig` where no key can verify it. Only safe when clients cannot reach the application itself.
    grip_trust_unverified: Flag = false;
    /// Milliseconds after which a proxy asks for what it may have missed, which bounds how late a lost event comes.
    grip_link_timeout_ms: Integer(1_000..=3_600_000) = 45_000;
    /// Milliseconds for which a stream at a proxy is repaired without asking the application again.
    grip_link_lifetime_ms: Integer(60_000..=2_592_000_000) = 86_400_000;
    /// The secret that signs links, 16 bytes or more, the same in all processes; derived from the keys of the proxies
    /// when it is not set.
    grip_link_secret: Secret = Secret::default();
    /// Publishes through the HTTP proxy that the environment names for requests (`http_proxy`, `https_proxy`, `all_proxy`,
    /// `no_proxy`), which then sees the key of a GRIP proxy that is reached without TLS.
    grip_env_proxy: Flag = false;
    /// Where the routes of a proxy rewrite the beginning of paths: what they take off, such as `/base`, or what is in front
    /// of the proxy and what is behind it, such as `/live/=/events/`. Without it the links of such streams lead nowhere.
    grip_public_path: Text = "";
    /// Events that may wait for one proxy; one more fails with `queue-full`.
    grip_queue_events: Integer(1..=10_000_000) = 10_000;
    /// Milliseconds for which delivering an event to a proxy is tried.
    grip_deadline_ms: Integer(100..=3_600_000) = 10_000;
    /// Where the events of several processes are one: `file:/run/app/events` for the processes of one host, or a Redis,
    /// `redis://host:6379/0?namespace=app` (also `rediss://`, `redis+unix://`, `redis+sentinel://`, `redis+cluster://`). With
    /// `rediss://`, `&ca=/path/ca.pem` names authorities that are trusted instead of the system's. Empty takes it from the
    /// environment variable `EVSTREAM_JOURNAL`; without one, and with `none`, the events are those of this process.
    journal: Secret = Secret::default();
    /// Bytes that the journal keeps of all channels, for processes that start and for clients that come back to them. Of a
    /// file, the first process to use it decides.
    journal_bytes: Integer(65_536..=1_099_511_627_776) = 67_108_864;
    /// Milliseconds for which appending an event to the journal is tried.
    journal_deadline_ms: Integer(100..=3_600_000) = 10_000;
    /// Events that may wait for the journal; one more fails with `queue-full`.
    journal_queue_events: Integer(1..=10_000_000) = 10_000;
    /// Uses a Redis that does not tell what it replicates from (`INFO replication`): then events that it loses in a
    /// failover, or that are not in a snapshot it starts from, are lost silently.
    journal_unfenced: Flag = false;
    /// Threads that write to sockets. 0 means one per two processors, at least one.
    shards: Integer(0..=256) = 0;
    /// Threads that accept connections and read requests. 0 means one per two processors, at least one.
    server_threads: Integer(0..=256) = 0;
    /// Threads on which a server's functions for access may run at once, and as many again for its fallback: the one kind
    /// does not hold up the other.
    hook_threads: Integer(1..=4_096) = 256;
    /// Milliseconds for which a request may wait for such a thread; then it is asked to come back later, with `stream-close`
    /// or 503.
    hook_wait_ms: Integer(10..=3_600_000) = 10_000;
    /// Milliseconds in which a client must send a whole request head.
    header_timeout_ms: Integer(10..=3_600_000) = 10_000;
    /// Largest request head, in bytes, its first line included.
    max_header_bytes: Integer(8_192..=1_048_576) = 16_384;
    /// Largest request target (path and query), in bytes; a longer one is answered with 414.
    max_url_bytes: Integer(64..=65_534) = 8_192;
    /// Connections that the library's servers read requests from or answer at once; one more is closed, and counted as
    /// `connections_refused`. Those that carry a stream count as streams only. 0 sets no limit.
    max_connections: Integer(0..=100_000_000) = 10_000;
    /// The same from one client address, or from one /64 network of IPv6. For servers that clients reach directly: a
    /// proxy in front is one address, unless it is one of `trusted_proxies`, whose connections do not count. 0 sets no limit.
    max_connections_per_address: Integer(0..=100_000_000) = 0;
    /// Largest request body that a server's fallback is given, in bytes; a larger one is answered with 413.
    max_body_bytes: Integer(0..=1_073_741_824) = 1_048_576;
    /// Milliseconds in which a client must send a whole request body.
    body_timeout_ms: Integer(10..=3_600_000) = 30_000;
    /// Bytes of request bodies that one server keeps in memory at once; a request that would need more is answered
    /// with 503, and one that is larger than this with 413.
    max_bodies_bytes: Integer(0..=1_099_511_627_776) = 67_108_864;
}

impl Config {
    /// All settings at their defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes `grip` and `grip_verify_key` from the environment variables `GRIP_URL` and `GRIP_VERIFY_KEY`, as other GRIP
    /// libraries do, where these are set and not empty.
    pub fn grip_from_env(mut self) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        if let Some(url) = variable("GRIP_URL") {
            self.grip = vec![url.into()];
        }
        if let Some(key) = variable("GRIP_VERIFY_KEY") {
            self.grip_verify_key = key.into();
        }
        self
    }

    /// What a `Retry-After` says.
    pub(crate) fn retry_after_s(&self) -> u64 {
        self.retry_ms.div_ceil(1_000).max(1)
    }

    fn find(name: &str) -> Result<&'static OptionSpec> {
        Self::OPTIONS.iter().find(|option| option.name == name).ok_or_else(|| {
            let names: Vec<&str> = Self::OPTIONS.iter().map(|option| option.name).collect();
            let text = format!("there is no setting '{name}'; there are {}", names.join(", "));
            Error::new(ErrorKind::InvalidConfig, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_by_name() {
        let mut config = Config::new();
        config.set("history_events", OptionValue::Integer(5)).unwrap();
        config.set("keep_alive_ms", OptionValue::Text("7".into())).unwrap();
        config.set("keep_alive_comment", OptionValue::Flag(true)).unwrap();
        config.set("slow_client", OptionValue::Text("close".into())).unwrap();
        config.set("cors_origins", OptionValue::List(vec!["*".into()])).unwrap();
        let expected = Config::new().history_events(5).keep_alive_ms(7).keep_alive_comment(true);
        assert_eq!(config, expected.slow_client(SlowClient::Close).cors_origins(vec!["*".to_owned()]));
    }

    #[test]
    fn refusals_say_what_is_allowed() {
        let refused = |name: &str, value| Config::new().set(name, value).unwrap_err().to_string();
        assert_eq!(
            refused("channel_limit", OptionValue::Integer(0)),
            "channel_limit takes a whole number from 1 to 1000, not 0"
        );
        assert_eq!(
            refused("slow_client", OptionValue::Text("x".into())),
            "slow_client takes reset or close, not 'x'"
        );
        assert!(
            refused("historyEvents", OptionValue::Integer(0))
                .starts_with("there is no setting 'historyEvents'")
        );
        assert!(Config::new().channel_limit(0).check().is_err());
    }

    #[test]
    fn origins_and_headers_that_cannot_work_are_refused() {
        let origins = |origin: &str| Config::new().cors_origins(vec![origin.to_owned()]).check();
        for origin in
            ["*", "null", "https://example.com", "http://localhost:8000", "http://[::1]:1", "app://x"]
        {
            assert!(origins(origin).is_ok(), "{origin}");
        }
        for origin in [
            "",
            "example.com",
            "https://example.com/",
            "https://Example.com",
            "https://",
            "://x",
            "https://a\r\nb",
        ] {
            assert!(origins(origin).is_err(), "{origin}");
        }
        assert_eq!(
            origins("https://a/").unwrap_err().to_string(),
            "cors_origins takes '*' and origins such as 'https://example.com', not \"https://a/\""
        );
        assert!(Config::new().cors_headers(vec!["X-A".to_owned()]).check().is_ok());
        assert!(Config::new().cors_headers(vec!["X-A\r\nSet-Cookie: x".to_owned()]).check().is_err());
    }

    #[test]
    fn a_proxy_that_is_none_is_named() {
        let proxies = |entry: &str| Config::new().trusted_proxies(vec!["::1".to_owned(), entry.to_owned()]);
        assert!(proxies("10.0.0.0/8").check().is_ok());
        let error = proxies("10.0.0.1/8").check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert_eq!(
            error.to_string(),
            "trusted_proxies takes addresses, networks such as '10.0.0.0/8', and 'unix', not \"10.0.0.1/8\", whose \
             network begins at 10.0.0.0/8"
        );
        assert_eq!(
            Config::new().set("forwarded_header", OptionValue::Text("via".into())).unwrap_err().to_string(),
            "forwarded_header takes x-forwarded-for or forwarded, not 'via'"
        );
    }

    #[test]
    fn defaults_are_in_range() {
        Config::new().check().unwrap();
    }
}
