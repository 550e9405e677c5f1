//! `include/evstream.h` is what this crate exports, and says all that a C programmer needs to know.
//!
//! `UPDATE_HEADER=1 cargo test -p evstream-ffi --test header` writes it anew.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use evstream::config::{Config, OptionKind, OptionSpec};

/// What comes before the functions.
const OPENING: &str = "#ifdef __cplusplus\nextern \"C\" {\n";

#[test]
fn header_is_up_to_date() {
    let made = generate();
    let path = crate_dir().join("../include/evstream.h");
    let is_same = fs::read_to_string(&path).is_ok_and(|there| there == made);
    if is_same {
        return;
    }
    if std::env::var_os("UPDATE_HEADER").is_some() {
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("it can be made");
        fs::write(&path, made).expect("the header is writable");
    } else {
        panic!("include/evstream.h is not what the crate exports; run this test with UPDATE_HEADER=1");
    }
}

#[test]
fn every_function_says_what_matters() {
    let mut faults = Vec::new();
    for function in functions(&generate()) {
        let Function { name, returns, parameters, doc } = function;
        let mut fault = |text: String| faults.push(format!("{name}: {text}"));
        if !doc.contains("Threads: ") {
            fault("says nothing of threads".into());
        }
        if returns == "evs_status" && name != "evs_error_status" && !doc.contains("Status: ") {
            fault("says nothing of its statuses".into());
        }
        if returns == "evs_status" && name != "evs_error_status" {
            for parameter in &parameters {
                if !doc.contains(&format!("@param {parameter} ")) {
                    fault(format!("says nothing of {parameter}"));
                }
            }
        }
        for line in doc.lines().filter_map(|line| line.split_once("@param ")) {
            let named = line.1.split(' ').next().unwrap_or("");
            if !parameters.iter().any(|parameter| parameter == named) {
                fault(format!("speaks of {named}, which is no parameter"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_function_is_misused_by_the_tests_and_used_by_the_wrapper() {
    let read = |name: &str| fs::read_to_string(crate_dir().join("..").join(name)).expect("it is there");
    let misused = read("tests/c/every.h") + &read("tests/c/misuse.c") + &read("tests/c/version.c");
    let wrapper = read("include/evstream.hpp");
    // The wrapper has no use for these.
    let plain = [
        "evs_version",
        "evs_abi_version",
        "evs_error_status",
        "evs_request_header_count",
        "evs_reply_header_count",
    ];
    for Function { name, .. } in functions(&generate()) {
        let uses = |text: &str| {
            text.contains(&format!("{name}("))
                || text.contains(&format!("{name},"))
                || text.contains(&format!("{name}>"))
        };
        assert!(uses(&misused), "the tests do not misuse {name}");
        assert!(uses(&wrapper) || plain.contains(&&*name), "the wrapper does not use {name}");
    }
}

#[test]
fn unsafe_code_is_on_the_floor_that_trusts_c() {
    for (module, source) in modules() {
        let code = source.split("#[cfg(test)]").next().unwrap_or("");
        let uses =
            ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern"].iter().any(|word| code.contains(word));
        assert_eq!(uses, module == "cast", "{module}.rs");
    }
}

#[test]
fn every_function_catches_panics() {
    // What only reads a field, or calls nothing that could panic, may do without.
    let plain = [
        "evs_version",
        "evs_abi_version",
        "evs_status_name",
        "evs_status_is_retryable",
        "evs_error_status",
        "evs_error_message",
        "evs_request_header_count",
        "evs_request_header_at",
        "evs_request_body",
        "evs_reply_status",
        "evs_reply_header_count",
        "evs_reply_header_at",
        "evs_reply_has_stream",
        "evs_reply_body",
        "evs_reply_skip_body",
    ];
    for (module, source) in modules() {
        for function in source.split("pub extern \"C\" fn ").skip(1) {
            let name = function.split('(').next().unwrap_or("");
            let body = function.split("\n}").next().unwrap_or("");
            let frames = ["call(error", "decide(", "value(", "text(request", "quietly(", "free("];
            let is_framed = frames.iter().any(|frame| body.contains(frame));
            assert!(is_framed != plain.contains(&name), "{name} in {module}.rs");
        }
    }
}

/// The header: what cbindgen makes of the crate, the settings of the core, and a few words by hand.
fn generate() -> String {
    let file = |name: &str| fs::read_to_string(crate_dir().join(name)).expect("it is part of the crate");
    let mut config = cbindgen::Config::from_file(crate_dir().join("cbindgen.toml")).expect("it is valid");
    config.header = Some(file("header/intro.h").trim_end().to_owned());
    config.after_includes = Some(format!("\n{}\n{}{}", version(), file("header/macros.h"), settings()));
    let mut made = Vec::new();
    cbindgen::Builder::new()
        .with_crate(crate_dir())
        .with_config(config)
        .generate()
        .expect("the crate can be read")
        .write(&mut made);
    let made = String::from_utf8(made).expect("the header is a text");
    let made = name_and_start_structures(&made);
    let made = made.replacen(OPENING, &format!("{}{OPENING}", file("header/functions.h")), 1);
    shorten_comments(&add_chapters(&made))
}

fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut numbers = version.split('.');
    let mut next = || numbers.next().expect("a version has three numbers");
    format!(
        "/** The version that a program is compiled for; evs_version is the one that it runs with. */\n\
         #define EVS_VERSION \"{version}\"\n#define EVS_VERSION_MAJOR {}\n#define EVS_VERSION_MINOR {}\n\
         #define EVS_VERSION_PATCH {}\n",
        next(),
        next(),
        next()
    )
}

/// A macro for each setting, which stands for its name and length, so that a wrong name does not compile.
fn settings() -> String {
    let mut text = "/*\n * Settings, for the evs_config_set_... functions. Each stands for two arguments, its name and the \
                    length of that.\n */\n\n"
        .to_owned();
    for option in Config::OPTIONS {
        let words = format!("{} {}", option.doc.trim().replace('`', ""), takes(option));
        text.push_str("/**\n");
        for line in wrap(&words, 106) {
            writeln!(text, " * {line}").expect("a String grows");
        }
        let name = option.name;
        writeln!(text, " */\n#define EVS_OPTION_{} EVS_LITERAL(\"{name}\")\n", name.to_uppercase())
            .expect("a String grows");
    }
    text
}

fn takes(option: &OptionSpec) -> String {
    let default = match (option.kind, option.default) {
        (OptionKind::Integer { .. }, default) => default.replace('_', ""),
        (_, "") => "none".to_owned(),
        (_, default) => default.to_owned(),
    };
    let takes = match option.kind {
        OptionKind::Integer { min, max } => format!("An integer from {min} to {max}"),
        OptionKind::Flag => "A flag".to_owned(),
        OptionKind::Choice(names) => format!("A text, one of {}", names.join(", ")),
        OptionKind::List | OptionKind::Secrets => "A list of texts".to_owned(),
        _ => "A text".to_owned(),
    };
    format!("{takes}; default {default}.")
}

/// Gives structures their name twice, so that other headers can declare them, and those that a caller fills in a macro
/// to start with.
fn name_and_start_structures(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("typedef struct {\n") {
        let (body, after) = after.split_once("\n} ").expect("a structure ends");
        let (name, after) = after.split_once(";\n").expect("a structure has a name");
        write!(text, "{before}typedef struct {name} {{\n{body}\n}} {name};\n").expect("a String grows");
        let doc = before.rsplit("/**").next().unwrap_or("");
        let init = format!("{}_INIT", name.to_uppercase());
        if doc.contains(&init) {
            let fields = without_comments(body);
            let zeros: Vec<&str> =
                fields.split(';').map(str::trim).filter(|field| !field.is_empty()).map(zero).collect();
            assert_eq!(zeros.first(), Some(&"SIZE"), "{name} begins with its size");
            let zeros = zeros.join(", ").replacen("SIZE", &format!("sizeof({name})"), 1);
            write!(text, "\n/** An empty {name}. */\n#define {init} \\\n  {{{zeros}}}\n")
                .expect("a String grows");
        }
        rest = after;
    }
    text + rest
}

/// How a field is written that is empty.
fn zero(field: &str) -> &'static str {
    match field {
        "size_t struct_size" => "SIZE",
        field if field.contains('*') => "NULL",
        field if field.starts_with("bool ") => "false",
        field if field.starts_with("evs_str ") => "{NULL, 0}",
        field if field.ends_with(']') => "{0}",
        _ => "0",
    }
}

/// Sets the title of each module before its first function.
fn add_chapters(header: &str) -> String {
    let (before, functions) = header.split_once(OPENING).expect("there is an extern block");
    let mut functions = functions.to_owned();
    for (module, source) in modules() {
        let Some(first) = source.split("pub extern \"C\" fn ").nth(1) else { continue };
        let name = first.split('(').next().unwrap_or("");
        let at = [format!(" {name}("), format!("*{name}(")]
            .iter()
            .find_map(|call| functions.find(call.as_str()))
            .unwrap_or_else(|| panic!("{name} of {module}.rs is in no header"));
        let start = functions[..at].rfind("/**").expect("every function has a comment");
        let title = source.lines().next().unwrap_or("").trim_start_matches("//! ").to_owned();
        functions.insert_str(start, &format!("/* ---- {title} {} */\n\n", "-".repeat(98 - title.len())));
    }
    before.to_owned() + OPENING + &functions
}

/// Writes comments of one line on one line.
fn shorten_comments(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let mut text = String::new();
    let mut rest = &lines[..];
    while let Some((line, after)) = rest.split_first() {
        match after {
            [words, end, after @ ..] if line.trim() == "/**" && end.trim() == "*/" => {
                let indent = &line[..line.len() - 3];
                let words = words.trim_start().trim_start_matches("* ");
                writeln!(text, "{indent}/** {words} */").expect("a String grows");
                rest = after;
            }
            _ => {
                writeln!(text, "{line}").expect("a String grows");
                rest = after;
            }
        }
    }
    text
}

struct Function {
    name: String,
    returns: String,
    parameters: Vec<String>,
    doc: String,
}

/// The functions of a header, in its order.
fn functions(header: &str) -> Vec<Function> {
    let exported = header.split("extern \"C\" {").nth(1).expect("there is an extern block");
    let mut found = Vec::new();
    for part in exported.split("/**").skip(1) {
        let (doc, code) = part.split_once("*/").expect("a comment ends");
        let Some((declaration, _)) = code.split_once(");") else { continue };
        let (head, parameters) = declaration.split_once('(').expect("a function has parameters");
        let head = head.split_whitespace().collect::<Vec<_>>().join(" ");
        let (returns, name) = head.rsplit_once([' ', '*']).expect("a function has a type");
        let names = parameters.split(',').filter(|parameter| *parameter != "void");
        let names = names.map(|parameter| parameter.rsplit([' ', '*']).next().unwrap_or("").to_owned());
        found.push(Function {
            name: name.to_owned(),
            returns: returns.to_owned(),
            parameters: names.collect(),
            doc: doc.to_owned(),
        });
    }
    assert!(found.len() > 50, "the header has changed its shape");
    found
}

fn without_comments(code: &str) -> String {
    let mut text = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("/*") {
        text += before;
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    text + rest
}

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

/// The modules of the crate by name, with their source.
fn modules() -> BTreeMap<String, String> {
    let files = fs::read_dir(crate_dir().join("src")).expect("the crate has a source");
    files
        .map(|file| file.expect("it can be read").path())
        .map(|path| (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("it can be read")))
        .collect()
}

fn crate_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
