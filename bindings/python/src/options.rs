//! Settings from keyword arguments.

use evstream::{
    Config, ErrorKind,
    config::{OptionKind, OptionValue},
};
use pyo3::{
    prelude::*,
    types::{PyBool, PyDict, PyInt, PyString},
};

use crate::failure::{Failure, Result};

/// Every setting: its name, what it takes, and what it does.
#[pyfunction]
pub(crate) fn options() -> Vec<(&'static str, String, &'static str)> {
    let kind = |kind| match kind {
        OptionKind::Integer { min, max } => format!("int from {min} to {max}"),
        OptionKind::Flag => "bool".to_owned(),
        OptionKind::Choice(names) => names.join(" or "),
        OptionKind::List => "list of str".to_owned(),
        OptionKind::Secrets => "str or list of str".to_owned(),
        _ => "str".to_owned(),
    };
    Config::OPTIONS.iter().map(|option| (option.name, kind(option.kind), option.doc)).collect()
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

fn option_value(name: &str, value: &Bound<'_, PyAny>) -> Result<OptionValue> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(OptionValue::Flag(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return value
            .extract()
            .map(OptionValue::Integer)
            .map_err(|_| Failure::new(ErrorKind::InvalidConfig, format!("{name} is out of range: {value}")));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(OptionValue::Text(value.extract()?));
    }
    // A str is a sequence too, but was dealt with above.
    value.extract().map(OptionValue::List).map_err(|_| {
        let kind = value.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
        let text = format!("{name} takes a number, a bool, a str or a list of str, not {kind}");
        Failure::new(ErrorKind::InvalidConfig, text)
    })
}
