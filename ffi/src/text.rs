//! Texts and bytes

use std::ffi::{CStr, c_char};

/// A text that lies somewhere else: UTF-8, len bytes, without a NUL at its end unless that is said.
///
/// Print it with printf("%.*s", (int)text.len, text.ptr).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_str {
    /// Where it begins. NULL only if len is 0.
    pub ptr: *const c_char,
    /// Its length in bytes.
    pub len: usize,
}

/// Bytes that lie somewhere else.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_bytes {
    /// Where they begin. NULL only if len is 0.
    pub ptr: *const u8,
    /// How many they are.
    pub len: usize,
}

impl evs_str {
    /// No text at all.
    pub(crate) const NULL: Self = Self { ptr: std::ptr::null(), len: 0 };
}

impl From<&str> for evs_str {
    fn from(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() }
    }
}

impl From<&CStr> for evs_str {
    fn from(text: &CStr) -> Self {
        Self { ptr: text.as_ptr(), len: text.count_bytes() }
    }
}

impl From<&[u8]> for evs_bytes {
    fn from(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }
}
