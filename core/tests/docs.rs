//! What the documentation lists is what the code has: settings and errors.

use std::{fmt::Write, fs, path::Path};

use evstream::{Config, ErrorKind, OptionKind};

#[test]
fn settings_are_those_of_the_code() {
    check("docs/reference/settings.md", "settings", &settings());
}

#[test]
fn errors_are_those_of_the_code() {
    check("docs/reference/errors.md", "errors", &errors());
}

/// Compares what stands between two comments of a file with what should, and writes it there when `UPDATE_DOCS` is set.
fn check(file: &str, name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let text = fs::read_to_string(&path).expect("the file is there");
    let start = text.find(&begin).expect("it has a place for the table") + begin.len();
    let end = start + text[start..].find(&end).expect("the place has an end");
    if text[start..end] == *table {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{}{table}{}", &text[..start], &text[end..])).expect("it is writable");
    } else {
        panic!("the {name} in {file} are out of date; run the tests with UPDATE_DOCS=1");
    }
}

fn errors() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/error.rs");
    let source = fs::read_to_string(source).expect("the file is there");
    let mut table = "| kind | number | when | again? |\n|---|---|---|---|\n".to_owned();
    for kind in ErrorKind::ALL {
        let variant = format!("    {kind:?} = {},", *kind as u32);
        let before = &source[..source.find(&variant).expect("every kind has a number")];
        let when = before.trim_end().rsplit('\n').next().expect("a line").trim().trim_start_matches("/// ");
        let again = if kind.is_retryable() { "may help" } else { "" };
        writeln!(table, "| `{}` | {} | {when} | {again} |", kind.code(), *kind as u32)
            .expect("a String grows");
    }
    table
}

fn settings() -> String {
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
