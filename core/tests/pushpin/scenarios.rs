//! The same scenarios, played directly and through Pushpin: a client cannot tell the difference.

use evstream::{Config, Event, OptionValue};
use serde_json::Value;

use crate::common::until;

use super::{App, Expect, Pushpin, Settings, Source, settings_for, target};

#[test]
fn a_client_sees_the_same_directly_and_through_pushpin() {
    let mut pushpin = Pushpin::new(Settings::default());
    let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/scenarios.json")).unwrap();
    for scenario in vectors["scenarios"].as_array().unwrap() {
        let name = scenario["name"].as_str().unwrap();
        let mut config = settings_for(&pushpin.grip_url());
        apply(&mut config, &scenario["config"]);
        let held = App::new(config);
        pushpin.start(held.address());
        let seen_held = play(scenario, &held, pushpin.http);
        assert_eq!(held.events.stats().opened, 0, "{name}: all of it went through Pushpin");
        pushpin.stop();

        let mut config = Config::new();
        apply(&mut config, &scenario["config"]);
        let direct = App::new(config);
        let seen_direct = play(scenario, &direct, direct.address());
        assert_eq!(seen_direct, seen_held, "{name}");
        let sees: Vec<(String, String)> = serde_json::from_value(scenario["sees"].clone()).unwrap();
        assert_eq!(seen_direct, sees, "{name}");
    }
}

fn apply(config: &mut Config, settings: &Value) {
    for (name, value) in settings.as_object().into_iter().flatten() {
        config.set(name, OptionValue::Text(value.to_string())).unwrap();
    }
}

/// What the client has seen: the type and data of each event.
fn play(scenario: &Value, app: &App, address: std::net::SocketAddr) -> Vec<(String, String)> {
    let mut last_id = scenario["last_id"].as_str().unwrap_or_default().to_owned();
    let mut source: Option<(Source, Vec<String>)> = None;
    let mut seen = Vec::new();
    for step in scenario["steps"].as_array().unwrap() {
        if let Some(channels) = step["open"].as_array() {
            let channels: Vec<String> =
                channels.iter().map(|channel| channel.as_str().unwrap().to_owned()).collect();
            let target = target(channels.iter().map(String::as_str));
            let opened = Source::resume(address, &target, &[], &last_id);
            opened.until("a first event", |state| !state.events.is_empty());
            source = Some((opened, channels));
        } else if let Some(channel) = step["publish"].as_str() {
            let event = Event::text(step["data"].as_str().unwrap());
            let event = match step["event"].as_str() {
                Some(name) => event.name(name),
                None => event,
            };
            let receipt = app.events.publish(channel, event).unwrap();
            receipt.expect_delivered();
            if let Some((source, _)) = source.as_ref().filter(|(_, on)| on.iter().any(|name| name == channel))
            {
                let id = receipt.position().unwrap().to_string();
                source.until(&format!("the event {id}"), |state| state.last_id == id);
            }
        } else {
            last_id = leave(source.take(), &mut seen);
            until("the stream is closed", || app.events.stats().open == 0);
        }
    }
    let left = scenario["sees"].as_array().unwrap().len() - seen.len();
    let (last, _) = source.as_ref().expect("a stream is open at the end");
    last.until(&format!("{left} more events"), |state| state.events.len() >= left);
    leave(source, &mut seen);
    seen
}

/// Ends the client's stream; gives back its last id.
fn leave(source: Option<(Source, Vec<String>)>, seen: &mut Vec<(String, String)>) -> String {
    let (source, _) = source.expect("a stream is open");
    let state = source.state();
    let name =
        |event: &evstream::__internal::Decoded| event.name.clone().unwrap_or_else(|| "message".to_owned());
    seen.extend(state.events.iter().map(|event| (name(event), event.data.clone())));
    state.last_id.clone()
}
