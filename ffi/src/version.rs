//! Version

use std::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
};

use crate::{
    call::call,
    error::{Failure, evs_error},
    status::evs_status,
};

/// What programs rely on when they are compiled: the functions, the layout of the structures, the numbers. It grows
/// whenever a program compiled before would no longer work.
pub const EVS_ABI_VERSION: u32 = 1;

/// The version of the library that is loaded, such as "0.1.0". It lives for ever.
///
/// Compare it with EVS_VERSION, which is the version that the program was compiled for.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => panic!("a version has no NUL"),
        };
    VERSION.as_ptr()
}

/// EVS_ABI_VERSION of the library that is loaded.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_abi_version() -> u32 {
    EVS_ABI_VERSION
}

/// Whether the library that is loaded is one that the program was compiled for. Call it first, with EVS_ABI_VERSION,
/// where the two can be installed apart.
///
/// @param abi_version  EVS_ABI_VERSION as the program was compiled with it.
/// @param error        NULL, or where to put the error.
///
/// Status: OK, ABI_MISMATCH.
/// Threads: any.
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
