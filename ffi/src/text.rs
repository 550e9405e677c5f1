//! Texts and bytes

use std::ffi::{CStr, c_char};

use crate::call::{free, value};

/// A view of a text that lies elsewhere: len bytes of UTF-8, not ended by NUL unless the comment says so.
///
/// Print it with printf("%.*s", (int)text.len, text.ptr).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_str {
    /// Where it begins. In what evstream gives, an empty text begins at a NUL, unless NULL is said to stand for none.
    pub ptr: *const c_char,
    /// Its length in bytes.
    pub len: usize,
}

/// A view of bytes that lie elsewhere.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct evs_bytes {
    /// Where they begin: memory that can be read, also if there are none.
    pub ptr: *const u8,
    /// How many they are.
    pub len: usize,
}

/// A text that evstream has made.
pub struct evs_text {
    pub(crate) text: String,
}

/// As the length of a text that you give: it ends at its NUL.
pub const EVS_ZSTR: usize = usize::MAX;

/// @return What the text says, not ended by NUL. It lives as long as the text. NULL if text is NULL.
/// @note Threads: any, also at the same time.
#[unsafe(no_mangle)]
pub extern "C" fn evs_text_str(text: Option<&evs_text>) -> evs_str {
    value(evs_str::NULL, || text.map_or(evs_str::NULL, |text| text.text.as_str().into()))
}

/// Frees a text.
///
/// @note Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn evs_text_free(text: Option<Box<evs_text>>) {
    free(text);
}

impl evs_str {
    /// No text at all.
    pub(crate) const NULL: Self = Self { ptr: std::ptr::null(), len: 0 };
}

impl From<&str> for evs_str {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for evs_str {
    fn from(text: &[u8]) -> Self {
        Self { ptr: start(text).cast(), len: text.len() }
    }
}

impl From<&CStr> for evs_str {
    fn from(text: &CStr) -> Self {
        Self { ptr: text.as_ptr(), len: text.count_bytes() }
    }
}

impl From<&[u8]> for evs_bytes {
    fn from(bytes: &[u8]) -> Self {
        Self { ptr: start(bytes), len: bytes.len() }
    }
}

/// The address of an array that C is shown: NULL if there is nothing in it.
pub(crate) fn array(texts: &[evs_str]) -> *const evs_str {
    if texts.is_empty() { std::ptr::null() } else { texts.as_ptr() }
}

/// Where bytes begin. Rust gives an empty slice an address where nothing lies: whoever reads a byte there crashes, and so
/// does Go, whose runtime looks at every pointer on a stack.
fn start(bytes: &[u8]) -> *const u8 {
    if bytes.is_empty() { c"".as_ptr().cast() } else { bytes.as_ptr() }
}
