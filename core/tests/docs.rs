//! The tables of the documentation are those of the code, and its Rust is tested.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use evstream::{Config, ErrorKind, OptionKind};

const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->";

#[test]
fn settings_are_those_of_the_code() {
    let path = root().join("docs/reference/settings.md");
    let page = read(&path);
    let start = page.find(BEGIN).expect("the page has a place for the settings") + BEGIN.len();
    let end = start + page[start..].find(END).expect("the place has an end");
    let table = table();
    if page[start..end] == table {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{table}{}", &page[..start], &page[end..])).expect("the page is writable");
    } else {
        panic!(
            "the settings in docs/reference/settings.md are out of date; run the tests with UPDATE_DOCS=1"
        );
    }
}

#[test]
fn errors_are_those_of_the_code() {
    let page = read(&root().join("docs/reference/errors.md"));
    let rows: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split(" | ").take(3).collect::<Vec<_>>().join(" | "))
        .collect();
    let kinds = ErrorKind::ALL.iter().map(|kind| {
        let again = if kind.is_retryable() { "yes" } else { "no" };
        format!("| `{}` | {} | {again}", kind.code(), *kind as u32)
    });
    assert_eq!(rows, kinds.collect::<Vec<_>>());
}

#[cfg(feature = "runtime")]
#[test]
fn metrics_are_those_of_the_code() {
    let page = read(&root().join("docs/reference/metrics.md"));
    let events =
        evstream::Events::new(Config::new().grip(vec!["http://127.0.0.1:1".into()])).expect("it is a proxy");
    let text = events.metrics(true);
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let families: Vec<(&str, &str)> = families.collect();
    assert!(families.len() > 10, "{families:?}");
    for (family, kind) in families {
        let name = match kind {
            "counter" => format!("`{family}_total"),
            _ => format!("`{family}"),
        };
        assert!(page.contains(&name), "{name} is not in docs/reference/metrics.md");
    }
}

#[test]
fn pages_with_rust_are_tested() {
    let library = read(&root().join("core/src/lib.rs"));
    let mut pages = vec![root().join("README.md")];
    pages.extend(pages_in(&root().join("docs")));
    assert!(pages.len() > 10, "{pages:?}");
    for page in pages.iter().filter(|page| read(page).contains("\n```rust\n")) {
        let path = page.strip_prefix(root()).expect("it is below");
        let included = format!("include_str!(\"../../{}\")", path.display());
        assert!(library.contains(&included), "core/src/lib.rs lacks {included}");
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn pages_in(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            pages.extend(pages_in(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages
}

fn table() -> String {
    let mut table = "| setting | default | takes | what it does |\n|---|---|---|---|\n".to_owned();
    for option in Config::OPTIONS {
        let takes = match option.kind {
            OptionKind::Integer { min, max } => format!("{min} to {max}"),
            OptionKind::Flag => "true, false".to_owned(),
            OptionKind::Choice(names) => names.join(", "),
            OptionKind::List => "texts".to_owned(),
            OptionKind::Secrets => "secret texts".to_owned(),
            OptionKind::Secret => "a secret text".to_owned(),
            _ => "a text".to_owned(),
        };
        let default = match option.kind {
            OptionKind::Integer { .. } => option.default.replace('_', ""),
            _ => option.default.to_owned(),
        };
        let doc = option.doc.trim();
        writeln!(table, "| `{}` | {} | {takes} | {doc} |", option.name, default).expect("a String grows");
    }
    table
}
