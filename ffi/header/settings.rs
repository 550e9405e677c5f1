//! A macro for each setting of the core, so that a wrong name does not compile.

use std::fmt::Write;

use evstream::{Config, OptionKind, OptionSpec};

/// For each setting its name, and a macro that stands for the two arguments of the functions above.
pub(crate) fn macros() -> String {
    let mut text = String::new();
    for option in Config::OPTIONS {
        let words = format!("{} {}", option.doc.trim().replace('`', ""), takes(option));
        text.push_str("\n/**\n");
        for line in super::wrap(&words, 106) {
            writeln!(text, " * {line}").expect("a String grows");
        }
        let (name, constant) = (option.name, format!("EVS_OPTION_{}", option.name.to_uppercase()));
        write!(
            text,
            " */\n#define {constant} EVS_LITERAL({constant}_NAME)\n#define {constant}_NAME \"{name}\"\n"
        )
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
