//! Versions
//!
//! EVS_VERSION is the version of the header that the program was compiled with, evs_version that of the library that
//! it has loaded. Where the two are installed apart, call evs_check_abi first.

use std::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
};

use crate::{
    call::call,
    error::{Failure, evs_error},
    status::evs_status,
};

/// What a compiled program relies on: the functions, the layout of the structures, the numbers. It goes up whenever a
/// program that was compiled before would no longer work.
pub const EVS_ABI_VERSION: u32 = 1;

/// The version of the library that is loaded.
///
/// @return "0.1.0" or the like. It lives for ever.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no NUL"),
        };
    VERSION.as_ptr()
}

/// The ABI of the library that is loaded.
///
/// @return EVS_ABI_VERSION as the library was built with it.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_abi_version() -> u32 {
    EVS_ABI_VERSION
}

/// Checks that the library that is loaded has the ABI that the program was compiled for.
///
/// @param abi_version  EVS_ABI_VERSION.
///
/// @return OK, ABI_MISMATCH.
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_check_abi(
    abi_version: u32,
    error: Option<&mut MaybeUninit<*mut evs_error>>,
) -> evs_status {
    call(error, || {
        if abi_version == EVS_ABI_VERSION {
            return Ok(evs_status::Ok);
        }
        let version = env!("CARGO_PKG_VERSION");
        let text = format!(
            "the program was compiled for ABI version {abi_version} of evstream, but libevstream {version} has ABI \
             version {EVS_ABI_VERSION}; compile the program with the header of the library that it loads"
        );
        Err(Failure::new(evs_status::AbiMismatch, text))
    })
}
