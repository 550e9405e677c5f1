//! The items of publish requests, written for a proxy and read from any GRIP publisher.

use std::{borrow::Cow, fmt::Display, io::Write};

use ::base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    error::{Error, ErrorKind, Result},
    wire::protocol::MAX_PUBLISH_BYTES,
};

/// One item to publish on a channel of a proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item<'a> {
    /// Name of the channel on the proxy.
    pub channel: Cow<'a, str>,
    /// Its id. A proxy drops an item whose id it has seen on the channel in the last minute, so retries are harmless.
    pub id: Option<Cow<'a, str>>,
    /// The id of the item before it on the channel.
    pub prev_id: Option<Cow<'a, str>>,
    /// Whether a proxy hands it on at once even when it has not seen the item before it, which it would wait for.
    pub no_seq: bool,
    /// Only streams that are on this channel of the proxy, too, are meant, of those whose hold
    /// [filters](super::Hold::filtered) by it.
    pub require_sub: Option<Cow<'a, str>>,
    /// What it does to the streams on the channel.
    pub action: Action<'a>,
}

/// What an item does to the streams on its channel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action<'a> {
    /// Ends them.
    Close,
    /// Makes the proxy ask their next links at once.
    Hint,
    /// Sends them bytes.
    Send(Content<'a>),
}

/// What an item sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content<'a> {
    /// Bytes that are not UTF-8.
    Binary(Cow<'a, [u8]>),
    /// Text, which costs less to carry than bytes.
    Text(Cow<'a, str>),
}

impl<'a> Item<'a> {
    /// An item that sends `content`.
    pub fn send(channel: impl Into<Cow<'a, str>>, content: impl Into<Content<'a>>) -> Self {
        Self::new(channel.into(), Action::Send(content.into()))
    }

    /// An item that ends the streams on the channel. On a channel that is held with a `prev-id` it needs its place in
    /// the [`sequence`](Self::sequence) too, or it does nothing.
    pub fn close(channel: impl Into<Cow<'a, str>>) -> Self {
        Self::new(channel.into(), Action::Close)
    }

    /// An item that makes the proxy ask the next links of the streams on the channel. Give it no id of its own: the
    /// next item would have to name that as its `prev_id`.
    pub fn hint(channel: impl Into<Cow<'a, str>>) -> Self {
        Self::new(channel.into(), Action::Hint)
    }

    /// Gives the item its place on the channel: its id, and the id of the item before it.
    pub fn sequence(mut self, id: impl Into<Cow<'a, str>>, prev_id: impl Into<Cow<'a, str>>) -> Self {
        self.id = Some(id.into());
        self.prev_id = Some(prev_id.into());
        self
    }

    /// Makes a proxy hand the item on at once, whatever it has seen before. Streams that lack the item before it still
    /// ask their next links, only sooner: for the first item of a new sequence, before which there is nothing to wait for.
    pub fn no_seq(mut self) -> Self {
        self.no_seq = true;
        self
    }

    /// Gives the item an id without a place in a sequence, for channels that are held without a `prev-id`.
    pub fn id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Has it meant only for streams that are on that channel of the proxy, too: see [`Hold::filtered`](super::Hold::filtered).
    /// A proxy compares the name as it stands in holds, so [encode](super::Prefix::encode) it.
    pub fn require_sub(mut self, proxy_name: impl Into<Cow<'a, str>>) -> Self {
        self.require_sub = Some(proxy_name.into());
        self
    }

    /// The item as JSON, for a [`Batch`].
    ///
    /// Fails with `too-large` when it does not fit into a request that holds nothing else.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let stream = match &self.action {
            Action::Close => HttpStream { action: Some("close"), ..HttpStream::default() },
            Action::Hint => HttpStream { action: Some("hint"), ..HttpStream::default() },
            Action::Send(Content::Text(text)) => HttpStream { content: Some(text), ..HttpStream::default() },
            Action::Send(Content::Binary(bytes)) => {
                HttpStream { content_bin: Some(STANDARD.encode(bytes)), ..HttpStream::default() }
            }
        };
        let item = ItemJson {
            channel: &self.channel,
            id: self.id.as_deref(),
            prev_id: self.prev_id.as_deref(),
            no_seq: self.no_seq,
            meta: self.require_sub.as_deref().map(|require_sub| Meta { require_sub }),
            formats: Formats { stream },
        };
        let json = serde_json::to_vec(&item).map_err(not_json)?;
        check_size(json.len())?;
        Ok(json)
    }

    fn new(channel: Cow<'a, str>, action: Action<'a>) -> Self {
        Self { channel, id: None, prev_id: None, no_seq: false, require_sub: None, action }
    }
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

/// Text if the bytes are UTF-8.
impl<'a> From<&'a [u8]> for Content<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or_else(|_| Self::Binary(bytes.into()), Self::from)
    }
}

impl Content<'_> {
    /// The bytes that streams get.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Binary(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

/// The body of one publish request, which several items share. A proxy handles them in order, and all or none.
///
/// It never grows beyond the 1,000,000 bytes that proxies accept.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    body: Vec<u8>,
    items: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an item, written by [`Item::to_json`]. False if it does not fit; then the batch is as before.
    #[must_use]
    pub fn push(&mut self, item_json: &[u8]) -> bool {
        self.add(item_json.len(), |body| body.extend_from_slice(item_json))
    }

    /// Adds items, all or none. False if they do not fit; then the batch is as before.
    #[must_use]
    pub fn push_all(&mut self, items_json: &[Vec<u8>]) -> bool {
        let before = (self.body.len(), self.items);
        let fit = items_json.iter().all(|json| self.push(json));
        if !fit {
            self.body.truncate(before.0);
            self.items = before.1;
        }
        fit
    }

    /// Adds an item with its place. False if it does not fit; then the batch is as before.
    ///
    /// The ids must hold nothing that JSON escapes, which ids that a proxy can carry never do.
    #[must_use]
    pub fn push_placed(&mut self, item: &Unplaced, place: &Place<impl Display>) -> bool {
        self.add(item.0.len(), |body| {
            body.extend_from_slice(&item.0);
            let Place { id, previous, no_seq } = place;
            write!(body, r#"{id}\n\n"}}}},"id":"{id}""#).expect("a Vec takes everything");
            if let Some(previous) = previous {
                write!(body, r#","prev-id":"{previous}""#).expect("a Vec takes everything");
            }
            body.extend_from_slice(if *no_seq { br#","no-seq":true}"# } else { b"}" });
        })
    }

    /// Adds what `write_item` writes, which is `least` bytes or more.
    fn add(&mut self, least: usize, write_item: impl FnOnce(&mut Vec<u8>)) -> bool {
        let before = self.body.len();
        if before + least > MAX_PUBLISH_BYTES {
            return false;
        }
        self.body.extend_from_slice(if self.items == 0 { BATCH_BEGIN } else { b"," });
        write_item(&mut self.body);
        if self.body.len() + BATCH_END.len() > MAX_PUBLISH_BYTES {
            self.body.truncate(before);
            return false;
        }
        self.items += 1;
        true
    }

    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether it holds no items.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The body, to be sent as `application/json` with its length.
    pub fn into_body(mut self) -> Vec<u8> {
        if self.items == 0 {
            self.body.extend_from_slice(BATCH_BEGIN);
        }
        self.body.extend_from_slice(BATCH_END);
        self.body
    }
}

/// An item that sends an event, written as JSON but for its [`Place`]. That is known last and comes last, so that what
/// takes time is done before the order of events is decided.
#[derive(Clone, Debug)]
pub struct Unplaced(Vec<u8>);

/// Where an item belongs on its channel: see [`Item`].
#[derive(Clone, Copy, Debug)]
pub struct Place<I> {
    /// The id of the item, and of the event in it.
    pub id: I,
    /// The id of the item before it on the channel.
    pub previous: Option<I>,
    /// Whether a proxy hands it on at once even when it has not seen the item before it.
    pub no_seq: bool,
}

impl Unplaced {
    /// An item of this channel for `event`: server-sent text that ends with an empty line and has no id.
    ///
    /// Fails with `too-large` when it does not fit into a request that holds nothing else.
    pub fn new(channel: &str, event: &[u8]) -> Result<Self> {
        let event = event.strip_suffix(b"\n").unwrap_or(event);
        let event = std::str::from_utf8(event).map_err(|_| invalid("an event must be UTF-8"))?;
        let mut json = Vec::with_capacity(event.len() + event.len() / 16 + channel.len() + 80);
        json.extend_from_slice(br#"{"channel":"#);
        write_json(&mut json, channel)?;
        json.extend_from_slice(br#","formats":{"http-stream":{"content":"#);
        write_json(&mut json, event)?;
        json.pop(); // the quote, for the id is still to come
        json.extend_from_slice(b"id: ");
        check_size(json.len() + PLACE_BYTES)?;
        Ok(Self(json))
    }
}

fn write_json(out: &mut Vec<u8>, text: &str) -> Result<()> {
    serde_json::to_writer(out, text).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "an item cannot be written as JSON").with_source(error)
}

/// Fails when an item of so many bytes does not fit into a request of its own.
fn check_size(bytes: usize) -> Result<()> {
    let allowed = MAX_PUBLISH_BYTES - BATCH_BEGIN.len() - BATCH_END.len();
    if bytes <= allowed {
        return Ok(());
    }
    let text = format!("the item has {bytes} bytes as JSON; a GRIP proxy accepts {allowed}");
    Err(Error::new(ErrorKind::TooLarge, text))
}

/// What a publish request asks for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Published {
    /// The items for streams, in order.
    pub items: Vec<Item<'static>>,
    /// How many items were for long-polls or `WebSockets` only, and say nothing to streams.
    pub ignored: usize,
}

/// Reads the body of a publish request of any GRIP publisher: `{"items":[...]}`, with the formats of an item in
/// `formats` or, as older libraries write them, beside `channel`.
///
/// Fails as a whole, so nothing is published partially: with `too-large` beyond 1,000,000 bytes, otherwise with
/// `invalid-argument` and a text that names the item and what is wrong with it. Members that say nothing to streams
/// are ignored.
pub fn parse_publish(body: &[u8]) -> Result<Published> {
    if body.len() > MAX_PUBLISH_BYTES {
        let text = format!("the body has {} bytes; at most {MAX_PUBLISH_BYTES} are allowed", body.len());
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    let json: Value =
        serde_json::from_slice(body).map_err(|e| invalid(format!("the body is not valid JSON: {e}")))?;
    let items = json.get("items").and_then(Value::as_array);
    let items = items.ok_or_else(|| invalid("the body must be a JSON object with an array 'items'"))?;
    let mut published = Published::default();
    for (i, item) in items.iter().enumerate() {
        match parse_item(item).map_err(|reason| invalid(format!("items[{i}] {reason}")))? {
            Some(item) => published.items.push(item),
            None => published.ignored += 1,
        }
    }
    Ok(published)
}

/// An item; `None` if it is not for streams; or the end of a sentence that says what is wrong with it.
fn parse_item(item: &Value) -> Result<Option<Item<'static>>, String> {
    let item = item.as_object().ok_or("is not an object")?;
    let channel = text(item, "channel")?.filter(|channel| !channel.is_empty());
    let channel = channel.ok_or("has no 'channel'")?.to_owned();
    let id = text(item, "id")?.map(|id| id.to_owned().into());
    let prev_id = text(item, "prev-id")?.map(|id| id.to_owned().into());
    let no_seq = match item.get("no-seq") {
        None => false,
        Some(Value::Bool(no_seq)) => *no_seq,
        Some(_) => return Err("has a 'no-seq' that is neither true nor false".to_owned()),
    };
    let require_sub = match item.get("meta") {
        None => None,
        Some(meta) => text(meta.as_object().ok_or("has a 'meta' that is not an object")?, "require_sub")?,
    };
    let require_sub = require_sub.map(|name| name.to_owned().into());
    let formats = match item.get("formats") {
        Some(formats) => formats.as_object().ok_or("has 'formats' that are not an object")?,
        None => item,
    };
    let Some(stream) = formats.get(STREAM_FORMAT) else {
        let other = OTHER_FORMATS.iter().any(|format| formats.contains_key(*format));
        return if other { Ok(None) } else { Err(format!("has no '{STREAM_FORMAT}' among its formats")) };
    };
    let stream =
        stream.as_object().ok_or_else(|| format!("has an '{STREAM_FORMAT}' that is not an object"))?;
    let action = match text(stream, "action")? {
        None | Some("send") => Action::Send(parse_content(stream)?),
        Some("close") => Action::Close,
        Some("hint") => Action::Hint,
        Some(_) => return Err("has an unknown 'action'; send, close and hint are allowed".to_owned()),
    };
    Ok(Some(Item { channel: channel.into(), id, prev_id, no_seq, require_sub, action }))
}

fn parse_content(stream: &Map<String, Value>) -> Result<Content<'static>, String> {
    if let Some(encoded) = text(stream, "content-bin")? {
        let bytes =
            STANDARD.decode(encoded).map_err(|_| "has a 'content-bin' that is not standard base64")?;
        return Ok(match String::from_utf8(bytes) {
            Ok(text) => Content::Text(text.into()),
            Err(error) => Content::Binary(error.into_bytes().into()),
        });
    }
    let content = text(stream, "content")?.ok_or("has neither 'content' nor 'content-bin' to send")?;
    Ok(Content::Text(content.to_owned().into()))
}

/// A member that must be a text if it is there. `null` is not a text: proxies refuse it too.
fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("has a '{name}' that is not a text")),
    }
}

fn invalid(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidArgument, text)
}

#[derive(Serialize)]
struct ItemJson<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "prev-id", skip_serializing_if = "Option::is_none")]
    prev_id: Option<&'a str>,
    #[serde(rename = "no-seq", skip_serializing_if = "std::ops::Not::not")]
    no_seq: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<Meta<'a>>,
    formats: Formats<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    require_sub: &'a str,
}

#[derive(Serialize)]
struct Formats<'a> {
    #[serde(rename = "http-stream")]
    stream: HttpStream<'a>,
}

#[derive(Default, Serialize)]
struct HttpStream<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(rename = "content-bin", skip_serializing_if = "Option::is_none")]
    content_bin: Option<String>,
}

const STREAM_FORMAT: &str = "http-stream";
const OTHER_FORMATS: [&str; 2] = ["http-response", "ws-message"];
/// As much as a [`Place`] may take: two ids of 21 bytes three times, and what stands around them.
const PLACE_BYTES: usize = 128;

const BATCH_BEGIN: &[u8] = br#"{"items":["#;
const BATCH_END: &[u8] = b"]}";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_ends_where_proxies_stop_reading() {
        let overhead = Item::send("c", "").to_json().unwrap().len();
        let room = MAX_PUBLISH_BYTES - BATCH_BEGIN.len() - BATCH_END.len();
        let largest = "x".repeat(room - overhead);
        let json = Item::send("c", &*largest).to_json().unwrap();
        let mut batch = Batch::new();
        assert!(batch.push(&json));
        assert!(!batch.push(b"{}"));
        assert_eq!(batch.len(), 1);
        let body = batch.into_body();
        assert_eq!(body.len(), MAX_PUBLISH_BYTES);
        assert_eq!(parse_publish(&body).unwrap().items, [Item::send("c", &*largest)]);

        let too_large = format!("{largest}x");
        assert_eq!(Item::send("c", &*too_large).to_json().unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(
            parse_publish(&vec![b' '; MAX_PUBLISH_BYTES + 1]).unwrap_err().kind(),
            ErrorKind::TooLarge
        );
    }

    #[test]
    fn items_that_belong_together_are_taken_together() {
        let item = |content: &str| Item::send("c", content).to_json().unwrap();
        let (small, large) = (item("x"), item(&"x".repeat(MAX_PUBLISH_BYTES - 200)));
        let mut batch = Batch::new();
        assert!(!batch.push_all(&[small.clone(), large.clone(), large]));
        assert!(batch.is_empty());
        assert!(batch.push_all(&[small.clone(), small]));
        assert_eq!((batch.len(), parse_publish(&batch.into_body()).unwrap().items.len()), (2, 2));
    }

    fn item() -> impl Strategy<Value = Item<'static>> {
        let action = prop_oneof![
            Just(Action::Close),
            Just(Action::Hint),
            ".{0,20}".prop_map(|text| Action::Send(Content::Text(text.into()))),
            proptest::collection::vec(any::<u8>(), 1..20)
                .prop_filter("text is sent as text", |bytes| std::str::from_utf8(bytes).is_err())
                .prop_map(|bytes| Action::Send(Content::Binary(bytes.into()))),
        ];
        let id = || proptest::option::of("[a-f0-9-]{0,9}");
        let parts = (".{1,9}", id(), id(), any::<bool>(), id(), action);
        parts.prop_map(|(channel, id, prev_id, no_seq, require_sub, action)| Item {
            no_seq,
            require_sub: require_sub.map(Into::into),
            channel: channel.into(),
            id: id.map(Into::into),
            prev_id: prev_id.map(Into::into),
            action,
        })
    }

    proptest! {
        #[test]
        fn round_trip(items in proptest::collection::vec(item(), 0..5)) {
            let mut batch = Batch::new();
            for item in &items {
                prop_assert!(batch.push(&item.to_json().unwrap()));
            }
            prop_assert_eq!(batch.len(), items.len());
            prop_assert_eq!(parse_publish(&batch.into_body()).unwrap(), Published { items, ignored: 0 });
        }

        #[test]
        fn never_panics(
            body in "(\\{\"items\":\\[)?(\\{\"channel\":\"c\",(\"formats\":)?\\{?\"http-stream\":)?[a-z{}\\[\\]\":,-]{0,20}",
            bytes: Vec<u8>,
        ) {
            let _ = parse_publish(body.as_bytes());
            let _ = parse_publish(&bytes);
        }
    }
}
