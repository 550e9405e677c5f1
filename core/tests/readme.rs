//! The README lists every setting, as the table in the code has it.

use std::{fmt::Write, fs, path::Path};

use evstream::{Config, OptionKind};

const BEGIN: &str = "<!-- settings -->\n";
const END: &str = "<!-- /settings -->";

#[test]
fn settings_are_those_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).expect("the README is there");
    let start = readme.find(BEGIN).expect("the README has a place for the settings") + BEGIN.len();
    let end = start + readme[start..].find(END).expect("the place has an end");
    let table = table();
    if readme[start..end] == table {
        return;
    }
    if std::env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[end..]))
            .expect("the README is writable");
    } else {
        panic!("the settings in README.md are out of date; run the tests with UPDATE_README=1");
    }
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
