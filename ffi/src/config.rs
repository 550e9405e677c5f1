//! Settings

use std::{ffi::c_char, mem::MaybeUninit};

use evstream::{Config, OptionValue};

use crate::{
    call::{call, free, give, needed, place},
    cast,
    error::evs_error,
    status::evs_status,
    text::evs_str,
};

/// Settings. They are all at their defaults until they are set; evs_hub_new copies them.
pub struct evs_config {
    pub(crate) config: Config,
}

/// Makes settings at their defaults.
///
/// @param config  Where to store them; free with evs_config_free.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_new(
    config: Option<&mut MaybeUninit<*mut evs_config>>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        give(place(config, "config")?, evs_config { config: Config::new() });
        Ok(evs_status::Ok)
    })
}

/// Sets a setting that is a number.
///
/// @param config  The settings.
/// @param option  The setting, as EVS_OPTION_..., which stands for name and length.
/// @param value   Its value, in the unit at the end of its name.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was, and the error says what is
///         allowed.
/// @note Threads: one at a time for these settings.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_set_integer(
    config: Option<&mut evs_config>,
    option: *const c_char,
    option_len: usize,
    value: u64,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || set(config, option, option_len, OptionValue::Integer(value)))
}

/// Sets a setting that is a flag.
///
/// @param config  The settings.
/// @param option  The setting, as EVS_OPTION_..., which stands for name and length.
/// @param value   Its value.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was, and the error says what is
///         allowed.
/// @note Threads: one at a time for these settings.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_set_flag(
    config: Option<&mut evs_config>,
    option: *const c_char,
    option_len: usize,
    value: bool,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || set(config, option, option_len, OptionValue::Flag(value)))
}

/// Sets any setting by a text: a word or secret as it is, a number in digits, a flag as "true" or "false", a list as
/// its one element. It is for values from the environment or a command line.
///
/// @param config  The settings.
/// @param option  The setting, as EVS_OPTION_..., which stands for name and length.
/// @param value   Its value, copied.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was; the error says what is allowed,
///         and never shows a secret.
/// @note Threads: one at a time for these settings.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_set_text(
    config: Option<&mut evs_config>,
    option: *const c_char,
    option_len: usize,
    value: *const c_char,
    value_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let value = cast::text(value, value_len, "value")?;
        set(config, option, option_len, OptionValue::Text(value.to_owned()))
    })
}

/// Sets a setting that is a list, in place of what it was.
///
/// @param config  The settings.
/// @param option  The setting, as EVS_OPTION_..., which stands for name and length.
/// @param values  Its elements, copied. NULL is allowed if values_len is 0.
///
/// @return OK, INVALID_CONFIG, INVALID_ARGUMENT. On failure the setting is as it was; the error says what is allowed,
///         and never shows a secret.
/// @note Threads: one at a time for these settings.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_set_list(
    config: Option<&mut evs_config>,
    option: *const c_char,
    option_len: usize,
    values: *const evs_str,
    values_len: usize,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let values = cast::texts(values, values_len, "values")?;
        let values = values.into_iter().map(ToOwned::to_owned).collect();
        set(config, option, option_len, OptionValue::List(values))
    })
}

/// Takes the settings grip and grip_verify_key from the environment variables GRIP_URL and GRIP_VERIFY_KEY, as other
/// GRIP libraries do, where these are set and not empty. evs_hub_new checks what they mean.
///
/// @param config  The settings.
///
/// @return OK, INVALID_ARGUMENT.
/// @note Threads: one at a time for these settings, and not while another thread changes the environment.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_grip_from_env(
    config: Option<&mut evs_config>,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        let given = needed(config, "config")?;
        given.config = given.config.clone().grip_from_env();
        Ok(evs_status::Ok)
    })
}

/// Frees settings. A hub that was made with them has its copy.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_config_free(config: Option<Box<evs_config>>) {
    free(config);
}

fn set(
    config: Option<&mut evs_config>,
    option: *const c_char,
    option_len: usize,
    value: OptionValue,
) -> crate::error::Result<evs_status> {
    let option = cast::text(option, option_len, "option")?;
    needed(config, "config")?.config.set(option, value)?;
    Ok(evs_status::Ok)
}
