//! The clock demo: a page, a stream mounted in axum at `/events/`, and a form that publishes messages.
//!
//! `PORT` chooses the port (default 8000, 0 takes a free one). `GRIP_URL`, and `GRIP_VERIFY_KEY` where the URL has no
//! `verify-key`, name a GRIP proxy in front, if there is one.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get, post},
    serve::ListenerExt,
};
use evstream::{Access, Config, Event, Events};
use serde::Deserialize;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let events = Events::new(Config::new().grip_from_env())?;
    let app = Router::new()
        .merge(page())
        .route("/messages/", post(publish_message))
        .route("/events/", any(stream))
        .route("/events/{link}", any(stream)) // a proxy asks here for what it has missed
        .with_state(events.clone());

    let port = std::env::var("PORT").map_or(Ok(8000), |port| port.parse::<u16>())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    println!("Listening on {url}");
    println!("Try: curl -N '{url}events/?channel=clock'");

    tokio::spawn(tick(events.clone()));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    // hyper waits for a client that has vanished, or does not read, as long as the system does.
    let tuning = events.clone();
    let listener = listener.tap_io(move |connection| drop(tuning.tune(connection)));
    let server = axum::serve(listener, app).with_graceful_shutdown(async move {
        stop_signal().await;
        // Streams never end by themselves: end them, and the server has nothing left to wait for.
        drop(tokio::task::spawn_blocking(move || events.close(Duration::from_secs(1))).await);
    });
    tokio::select! {
        served = server.into_future() => served?,
        // Nothing left, that is, but clients that do not read.
        () = async { stop_signal().await; tokio::time::sleep(Duration::from_millis(1_500)).await } => {}
    }
    Ok(())
}

/// The stream itself: clients choose the channels with `?channel=`.
async fn stream(State(events): State<Events>, peer: ConnectInfo<SocketAddr>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    match events.respond(&parts, Some(peer.ip()), |_| Access::allow()) {
        Ok(response) => response.map(Body::new),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct Message {
    text: String,
}

/// Publishes what was posted, as a form or as JSON.
async fn publish_message(State(events): State<Events>, headers: HeaderMap, body: Request) -> Response {
    match read_message(&headers, body).await.and_then(|message| {
        let event = Event::json(&json!({ "text": message.text })).map_err(|error| error.to_string())?;
        events.publish("messages", event.name("message")).map_err(|error| error.to_string())
    }) {
        Ok(receipt) => Json(json!({ "id": receipt.position().map(|at| at.to_string()) })).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response(),
    }
}

async fn read_message(headers: &HeaderMap, request: Request) -> Result<Message, String> {
    use axum::{Form, extract::FromRequest};
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let message: Message = if is_json {
        Json::from_request(request, &()).await.map(|Json(message)| message).map_err(|e| e.body_text())?
    } else {
        Form::from_request(request, &()).await.map(|Form(message)| message).map_err(|e| e.body_text())?
    };
    if message.text.is_empty() {
        return Err("the text is empty".to_owned());
    }
    Ok(message)
}

/// Publishes the time every second.
async fn tick(events: Events) {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let published = Event::json(&json!({ "time": time }))
            .and_then(|event| events.publish("clock", event.name("time")));
        if published.is_err() {
            return; // closed
        }
    }
}

/// Ctrl-C, or what a process manager sends.
async fn stop_signal() {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .expect("a SIGTERM handler can be installed once at the start");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// The page's files, which are compiled in so that the demo is one program.
fn page() -> Router<Events> {
    macro_rules! files {
        ($($path:literal: $file:literal $kind:literal,)+) => {
            Router::new()$(.route($path, get(async || {
                let headers = [(header::CONTENT_TYPE, $kind), (header::CACHE_CONTROL, "no-cache")];
                (headers, include_str!(concat!("../../page/", $file)))
            })))+
        };
    }
    files! {
        "/": "index.html" "text/html; charset=utf-8",
        "/style.css": "style.css" "text/css; charset=utf-8",
        "/app.js": "app.js" "text/javascript; charset=utf-8",
        "/log.js": "log.js" "text/javascript; charset=utf-8",
        "/stream.js": "stream.js" "text/javascript; charset=utf-8",
    }
}
