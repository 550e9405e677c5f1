//! A server that `bindings/browser` tests its client against.
//!
//! Its arguments are a folder whose scripts it serves, beside an empty page for every other path, and settings as `name=value`. `/events/`
//! is open to all; `/private/` is for who sends `Authorization: Bearer good`, and `/greeting/` begins with an event `rows`. It prints its
//! address. Then each line of its input is a command: `publish CHANNEL TEXT`, `disconnect TEXT`, `reopen`, or `stats`, which prints
//! how many streams are open and how many have been opened. It closes when its input ends.

use std::{
    error::Error,
    fs,
    io::{BufRead, stdin},
    time::Duration,
};

use evstream::{Access, Answer, Config, Event, Events, Mount, OptionValue, Who};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: tabs FOLDER [SETTING=VALUE]...")?;
    let mut config = Config::new();
    for setting in args {
        let (name, value) = setting.split_once('=').ok_or("a setting is name=value")?;
        config.set(name, OptionValue::Text(value.into()))?;
    }
    let events = Events::new(config)?;
    let server = events
        .server()
        .mount(Mount::new("/events/"))
        .mount(Mount::new("/greeting/").authorize(|_| {
            let rows = Event::text("[1]").name("rows");
            Access::channels(["rows"]).greet(&rows)
        }))
        .mount(Mount::new("/private/").authorize(|request| match request.header("authorization") {
            Some("Bearer good") => Access::channels(["private"]).user("ann"),
            _ => Access::forbid("please log in"),
        }))
        .fallback(move |request, _| script(&folder, request.path))
        .bind("127.0.0.1:0")?;
    println!("http://{}", server.address());
    for line in stdin().lock().lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match command {
            "publish" => {
                let (channel, text) = rest.split_once(' ').ok_or("publish CHANNEL TEXT")?;
                events.publish(channel, Event::text(text))?;
            }
            "disconnect" => drop(events.disconnect(Who::everyone(), rest)?),
            "reopen" => drop(events.reopen(Who::everyone())?),
            "stats" => println!("{} {}", events.stats().open, events.stats().opened),
            _ => return Err(format!("there is no command {command}").into()),
        }
    }
    events.close(Duration::from_secs(5))?;
    Ok(())
}

fn script(folder: &str, path: &str) -> Answer {
    match path.trim_start_matches('/').split_once('.') {
        Some((name, "js")) if !name.contains('/') => match fs::read(format!("{folder}/{name}.js")) {
            Ok(text) => Answer::new(200, "text/javascript", text),
            Err(error) => Answer::new(404, "text/plain", error.to_string()),
        },
        _ => Answer::new(200, "text/html", "<!doctype html><title>tabs</title>"),
    }
}
