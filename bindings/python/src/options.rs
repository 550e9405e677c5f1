//! Settings from keyword arguments.

use evstream::{Config, ErrorKind, OptionKind, OptionValue};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyInt, PyString},
};

use crate::failure::{Failure, Result};

/// Every setting: its name, what it takes, and what it does.
#[pyfunction]
pub(crate) fn options() -> Vec<(&'static str, String, &'static str)> {
    Config::OPTIONS.iter().map(|option| (option.name, takes(option.kind), option.doc)).collect()
}

/// The settings of a dictionary; those that are `None` keep their defaults.
pub(crate) fn config(options: &Bound<'_, PyDict>) -> Result<Config> {
    let mut config = Config::new();
    for (name, value) in options {
        let name: String = name.extract()?;
        if !value.is_none() {
            config.set(&name, option_value(&name, &value)?)?;
        }
    }
    Ok(config)
}

/// A number among the settings, as it is or by default.
pub(crate) fn number(options: &Bound<'_, PyDict>, name: &str) -> Result<u64> {
    match options.get_item(name)? {
        Some(value) if !value.is_none() => Ok(value.extract()?),
        _ => {
            let spec = Config::OPTIONS.iter().find(|option| option.name == name);
            Ok(spec.and_then(|option| option.default.replace('_', "").parse().ok()).unwrap_or_default())
        }
    }
}

fn takes(kind: OptionKind) -> String {
    match kind {
        OptionKind::Integer { min, max } => format!("int from {min} to {max}"),
        OptionKind::Flag => "bool".to_owned(),
        OptionKind::Choice(names) => names.join(" or "),
        OptionKind::List => "list of str".to_owned(),
        OptionKind::Secrets => "str or list of str".to_owned(),
        _ => "str".to_owned(),
    }
}

fn option_value(name: &str, value: &Bound<'_, PyAny>) -> Result<OptionValue> {
    let found = if let Ok(flag) = value.cast::<PyBool>() {
        Some(OptionValue::Flag(flag.is_true()))
    } else if value.is_instance_of::<PyInt>() {
        value.extract().ok().map(OptionValue::Integer)
    } else if value.is_instance_of::<PyString>() {
        Some(OptionValue::Text(value.extract()?))
    } else {
        // A str is a sequence too, but was dealt with above.
        value.extract().ok().map(OptionValue::List)
    };
    found.ok_or_else(|| {
        let known = Config::OPTIONS.iter().find(|option| option.name == name);
        let text = match known {
            None => format!("there is no setting {name:?}"),
            Some(option) => {
                // What is no number may be a secret in the wrong place.
                let number = value.cast::<PyInt>().ok().map(ToString::to_string);
                let given = number.unwrap_or_else(|| {
                    value.get_type().name().map_or_else(|_| "that".to_owned(), |name| name.to_string())
                });
                format!("{name} takes {}, not {given}", takes(option.kind))
            }
        };
        Failure::new(ErrorKind::InvalidConfig, text)
    })
}
