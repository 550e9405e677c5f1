//! Makes `include/evstream.h`: what cbindgen finds in the crate, in the order in which one learns it.

#[path = "items.rs"]
pub(crate) mod items;
#[path = "settings.rs"]
mod settings;

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use items::Item;

/// The modules of the crate that the header shows. Neighbours with the same title share a chapter.
const MODULES: [&str; 28] = [
    "status",
    "error",
    "version",
    "text",
    "callback",
    "hub",
    "event",
    "receipt",
    "publish",
    "channel",
    "request",
    "access",
    "reply",
    "ready",
    "pull",
    "response",
    "server",
    "jwt",
    "tickets",
    "inlet",
    "message",
    "subscription",
    "observer",
    "who",
    "stats",
    "metrics",
    "log",
    "config",
];

/// Where the header is.
pub(crate) fn path() -> PathBuf {
    crate_dir().join("../include/evstream.h")
}

/// The header.
pub(crate) fn header() -> String {
    let mut items = items::all(&crate_dir());
    let sources = modules();
    let mut text = file("intro.h") + "\n" + &file("prologue.h").replace("@VERSION@\n", &version());
    let chapters = MODULES.chunk_by(|a, b| title(&sources[*a]) == title(&sources[*b]));
    for chapter in chapters {
        let sources: Vec<&str> = chapter.iter().map(|module| &*sources[*module]).collect();
        let mut shown = Vec::new();
        for source in &sources {
            for name in exported(source) {
                shown.extend(items.remove(name)); // what was needed before is there already
            }
        }
        let needed = forward(&mut items, &shown);
        text += &begin_chapter(sources[0]);
        for item in needed.iter().chain(&shown) {
            writeln!(text, "\n{}", item.text()).expect("a String grows");
        }
        match chapter[0] {
            "text" => text += &file("texts.h"),
            "config" => text += &settings::macros(),
            _ => {}
        }
        text += "\n/** @} */\n";
    }
    assert!(items.is_empty(), "these are in no chapter: {:?}", items.keys());
    text + "\n" + &file("epilogue.h")
}

/// The modules of the crate by name, with their source.
pub(crate) fn modules() -> BTreeMap<String, String> {
    let files = fs::read_dir(crate_dir().join("src")).expect("the crate has a source");
    files
        .map(|file| file.expect("it can be read").path())
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("it can be read")))
        .collect()
}

pub(crate) fn crate_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Lines of at most this many bytes.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.len() + 1 + word.len() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// What is exported by a module, in its order.
fn exported(source: &str) -> impl Iterator<Item = &str> {
    source.lines().filter_map(|line| {
        let starts = ["pub extern \"C\" fn ", "pub struct ", "pub enum ", "pub type ", "pub const "];
        let rest = starts.iter().find_map(|start| line.strip_prefix(start))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    })
}

/// The objects of later chapters that these speak of.
fn forward(items: &mut BTreeMap<String, Item>, shown: &[Item]) -> Vec<Item> {
    let code: String = shown.iter().map(Item::text).collect();
    let is_needed = |name: &String, item: &Item| item.is_object() && code.contains(&format!("{name} *"));
    let names: Vec<String> =
        items.iter().filter(|(name, item)| is_needed(name, item)).map(|(name, _)| name.clone()).collect();
    names.iter().filter_map(|name| items.remove(name)).collect()
}

fn title(source: &str) -> &str {
    source.lines().next().unwrap_or("").trim_start_matches("//! ")
}

fn begin_chapter(source: &str) -> String {
    let title = title(source);
    let id: String = title
        .chars()
        .filter(|c| *c != '\'')
        .map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    let mut text = format!("\n/**\n * @defgroup {id} {title}\n");
    for line in source.lines().skip(1).map_while(|line| line.strip_prefix("//!")) {
        writeln!(text, " *{line}").expect("a String grows");
    }
    text + " * @{\n */\n"
}

fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let numbers: Vec<&str> = version.split('.').collect();
    let [major, minor, patch] = numbers[..] else { panic!("a version has three numbers") };
    format!(
        "/** The version of this header. */\n#define EVS_VERSION \"{version}\"\n#define EVS_VERSION_MAJOR {major}\n\
         #define EVS_VERSION_MINOR {minor}\n#define EVS_VERSION_PATCH {patch}\n"
    )
}

fn file(name: &str) -> String {
    fs::read_to_string(crate_dir().join("header").join(name)).expect("it is part of the crate")
}
