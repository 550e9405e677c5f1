//! What cbindgen finds, item by item, and how each is written.

use std::{collections::BTreeMap, fmt::Write, path::Path};

/// A definition or declaration, with its comment.
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) comment: String,
    /// As cbindgen writes it.
    pub(crate) code: String,
}

/// All that the crate exports, by name.
pub(crate) fn all(crate_dir: &Path) -> BTreeMap<String, Item> {
    let config = cbindgen::Config::from_file(crate_dir.join("cbindgen.toml")).expect("it is valid");
    let builder = cbindgen::Builder::new().with_crate(crate_dir).with_config(config);
    let mut made = Vec::new();
    builder.generate().expect("the crate can be read").write(&mut made);
    let made = String::from_utf8(made).expect("the header is a text");
    let items = made.split("\n/**\n").filter(|item| !item.trim().is_empty()).map(Item::new);
    items.map(|item| (item.name.clone(), item)).collect()
}

impl Item {
    fn new(text: &str) -> Self {
        let (comment, code) = text.split_once("\n */\n").expect("all that is exported has a comment");
        let comment = comment.trim_start_matches("/**\n").to_owned();
        let code = code.trim_end().to_owned();
        Self { name: name(&code).to_owned(), comment, code }
    }

    /// Whether it is an object that callers only have the address of.
    pub(crate) fn is_object(&self) -> bool {
        self.code.starts_with("typedef struct evs_")
    }

    /// As it is written in the header.
    pub(crate) fn text(&self) -> String {
        let name = &self.name;
        let mut text = match self.comment.lines().collect::<Vec<_>>()[..] {
            [line] => format!("/** {} */\n", line.trim_start_matches(" * ")),
            _ => format!("/**\n{}\n */\n", self.comment),
        };
        if let Some(fields) = self.code.strip_prefix("typedef struct {") {
            // By its name, so that other headers can declare it.
            write!(text, "typedef struct {name} {{{}", one_line_comments(fields)).expect("a String grows");
            if self.comment.contains(&format!("{}_INIT", name.to_uppercase())) {
                text += &initializer(name, fields);
            }
        } else if self.code.starts_with("enum ") {
            let (_, values) = self.code.split_once(" {\n").expect("an enumeration has values");
            let (values, _) = values.split_once("};").expect("an enumeration ends");
            write!(text, "EVS_ENUM({name}) {{\n{}}};", one_line_comments(values)).expect("a String grows");
        } else {
            // As a literal, which generators of bindings can read.
            text += &self.plainly_const().replace(" UINT64_MAX", &format!(" {}u", u64::MAX));
        }
        text
    }

    /// The declaration of a function without the `const` by which Rust says that several threads may use an object at the
    /// same time: in C it stays only where a function gives back what it reads from it.
    fn plainly_const(&self) -> String {
        let reads = ["evs_str ", "uint64_t ", "uint16_t ", "int ", "uint32_t ", "size_t ", "evs_bytes "];
        if reads.iter().any(|read| self.code.starts_with(read)) {
            return self.code.clone();
        }
        let shared = ["evs_hub", "evs_channel", "evs_server", "evs_ready_queue"];
        shared.iter().fold(self.code.clone(), |code, name| {
            code.replace(&format!("const {name} *"), &format!("{name} *"))
        })
    }
}

/// The name that a piece of C declares.
fn name(code: &str) -> &str {
    let word =
        |text: &'_ str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().map_or(0, str::len);
    let rest = if let Some(rest) = code.strip_prefix("#define ") {
        rest
    } else if let Some(rest) = code.strip_prefix("enum ") {
        rest
    } else if let Some((_, rest)) = code.rsplit_once("\n} ") {
        rest
    } else if let Some(rest) = code.strip_prefix("typedef struct ") {
        rest
    } else if let Some((_, rest)) = code.split_once("(*evs_").filter(|_| code.starts_with("typedef ")) {
        &code[code.len() - rest.len() - "evs_".len()..]
    } else {
        let head = code.split('(').next().unwrap_or("");
        &code[head.rfind([' ', '*']).map_or(0, |at| at + 1)..]
    };
    &rest[..word(rest)]
}

/// A macro and a function that give an empty structure, the function for languages that cannot use the macro.
fn initializer(name: &str, fields: &str) -> String {
    let fields = without_comments(fields);
    let (fields, _) = fields.split_once('}').expect("a structure ends");
    let zeros: Vec<&str> =
        fields.split(';').map(str::trim).filter(|field| !field.is_empty()).map(zero).collect();
    assert_eq!(zeros.first(), Some(&"SIZE"), "{name} begins with its size");
    let zeros = zeros.join(", ").replacen("SIZE", &format!("sizeof({name})"), 1);
    let init = format!("{}_INIT", name.to_uppercase());
    format!(
        "\n\n/** An empty {name}; also by a function, for languages that cannot use the macro. */\n\
         #define {init} \\\n  {{{zeros}}}\n\
         static inline {name} {name}_init(void) {{\n  {name} empty = {init};\n  return empty;\n}}"
    )
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

/// Writes comments of one line on one line.
fn one_line_comments(code: &str) -> String {
    let lines: Vec<&str> = code.lines().collect();
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
    if code.ends_with('\n') { text } else { text.trim_end().to_owned() }
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
