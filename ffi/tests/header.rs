//! `include/evstream.h` is what the crate exports, and says all that a C programmer needs to know.

#[path = "../header/generate.rs"]
mod generate;

use std::fs;

use generate::{crate_dir, header, items, modules, path};

#[test]
fn header_is_up_to_date() {
    let is_same = fs::read_to_string(path()).is_ok_and(|there| there == header());
    assert!(is_same, "write include/evstream.h anew: cargo run -p evstream-ffi --example header");
}

#[test]
fn every_function_says_what_matters() {
    let mut faults = Vec::new();
    for Function { name, returns, parameters, doc } in functions() {
        let mut fault = |text: String| faults.push(format!("{name}: {text}"));
        if !doc.contains("@note Threads: ") {
            fault("says nothing of threads".into());
        }
        if returns != "void" && !doc.contains("@return ") {
            fault("does not say what it returns".into());
        }
        let said: Vec<&str> =
            doc.lines().filter_map(|line| line.split_once("@param ")).map(|(_, said)| said).collect();
        let names: Vec<&str> = said.iter().filter_map(|said| said.split(' ').next()).collect();
        // What can fail has more than one parameter; the one object of the rest needs no words.
        for parameter in parameters.iter().filter(|name| *name != "error" && parameters.len() > 1) {
            // A length goes with what it is the length of.
            if ![parameter, parameter.trim_end_matches("_len")].iter().any(|name| names.contains(name)) {
                fault(format!("says nothing of {parameter}"));
            }
        }
        for name in names {
            if !parameters.iter().any(|parameter| parameter == name) {
                fault(format!("speaks of {name}, which is no parameter"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn lines_are_not_too_long() {
    let long: Vec<String> = header().lines().filter(|line| line.len() > 120).map(str::to_owned).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
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
    for Function { name, .. } in functions() {
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

struct Function {
    name: String,
    returns: String,
    parameters: Vec<String>,
    doc: String,
}

/// The functions of the header.
fn functions() -> Vec<Function> {
    let items = items::all(&crate_dir());
    let found: Vec<Function> = items.into_values().filter_map(function).collect();
    assert!(found.len() > 50, "the header has changed its shape");
    found
}

fn function(item: items::Item) -> Option<Function> {
    let not = ["#define ", "enum ", "typedef "];
    if not.iter().any(|start| item.code.starts_with(start)) {
        return None;
    }
    let (head, parameters) = item.code.strip_suffix(");")?.split_once('(')?;
    let (returns, _) = head.rsplit_once([' ', '*'])?;
    let names = parameters.split(',').filter(|parameter| *parameter != "void");
    let names = names.map(|parameter| {
        let words = parameter.split([' ', '*', '(', ')', '\n']);
        let mut words = words.filter(|word| !word.is_empty() && !word.starts_with('['));
        words.next_back().unwrap_or("").to_owned()
    });
    Some(Function {
        returns: returns.to_owned(),
        parameters: names.collect(),
        name: item.name,
        doc: item.comment,
    })
}
