//! Settings: the core's own, under the same names in camelCase.

use evstream::{Config, Error, ErrorKind, OptionKind, OptionSpec, OptionValue};
use napi::bindgen_prelude::Either4;
use napi_derive::napi;

use crate::error::{Result, throw};

/// A setting, for the types and the documentation of the package, which are made of this.
#[napi(object)]
pub struct Setting {
    pub name: String,
    pub kind: String,
    pub doc: String,
    /// Empty for none.
    pub default: String,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub words: Option<Vec<String>>,
}

/// What JavaScript gives for a setting.
pub type Given = Either4<bool, f64, String, Vec<String>>;

/// Every setting.
#[napi(catch_unwind)]
pub fn settings() -> Vec<Setting> {
    Config::OPTIONS.iter().map(setting).collect()
}

/// The settings that were given; the others keep their defaults.
pub(crate) fn config(given: Vec<(String, Given)>) -> Result<Config> {
    let mut config = Config::new();
    for (name, value) in given {
        let Some(option) = Config::OPTIONS.iter().find(|option| camel_case(option.name) == name) else {
            let names: Vec<String> = Config::OPTIONS.iter().map(|option| camel_case(option.name)).collect();
            let text = format!("there is no setting '{name}'; there are {}", names.join(", "));
            return Err(throw(Error::new(ErrorKind::InvalidConfig, text)));
        };
        config.set(option.name, value_of(option, value)?).map_err(throw)?;
    }
    Ok(config)
}

/// The text with every setting that it names as it is called in JavaScript. What is quoted is the caller's own.
pub(crate) fn in_camel_case(text: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let length = rest[start..].find(|c| !is_name(c)).unwrap_or(rest.len() - start);
        let word = &rest[start..start + length];
        out.push_str(&rest[..start]);
        let is_quoted = out.ends_with(['\'', '"']);
        if !is_quoted && Config::OPTIONS.iter().any(|option| option.name == word) {
            out.push_str(&camel_case(word));
        } else {
            out.push_str(word);
        }
        rest = &rest[start + length..];
    }
    out + rest
}

fn value_of(option: &OptionSpec, value: Given) -> Result<OptionValue> {
    Ok(match value {
        Either4::A(flag) => OptionValue::Flag(flag),
        Either4::B(number) if number >= 0.0 && number.fract() == 0.0 && number < MAX_SAFE_INTEGER => {
            OptionValue::Integer(number as u64)
        }
        Either4::B(number) => {
            let allowed = match option.kind {
                OptionKind::Integer { min, max } => format!("a whole number from {min} to {max}"),
                _ => "no number".to_owned(),
            };
            let text = format!("{} takes {allowed}, not {number}", option.name);
            return Err(throw(Error::new(ErrorKind::InvalidConfig, text)));
        }
        Either4::C(text) => OptionValue::Text(text),
        Either4::D(list) => OptionValue::List(list),
    })
}

fn setting(option: &OptionSpec) -> Setting {
    let (kind, limits, words) = match option.kind {
        OptionKind::Integer { min, max } => ("integer", Some((min as f64, max as f64)), None),
        OptionKind::Flag => ("flag", None, None),
        OptionKind::Choice(words) => {
            ("choice", None, Some(words.iter().map(|&word| word.to_owned()).collect()))
        }
        OptionKind::List | OptionKind::Secrets => ("list", None, None),
        _ => ("text", None, None),
    };
    Setting {
        name: camel_case(option.name),
        kind: kind.to_owned(),
        doc: in_camel_case(option.doc.trim()),
        default: option.default.to_owned(),
        min: limits.map(|(min, _)| min),
        max: limits.map(|(_, max)| max),
        words,
    }
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut name, part| {
        let (head, tail) = part.split_at(part.len().min(1));
        name.push_str(&head.to_ascii_uppercase());
        name.push_str(tail);
        name
    })
}

/// Above it the numbers of JavaScript are not exact.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;
