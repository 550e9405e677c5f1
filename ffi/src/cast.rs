//! The floor that trusts C: every unsafe operation of the library is in this file.
//!
//! C gives us addresses, and nobody can check what lies there. The header says what it must be, as numbered rules at
//! its head; each function here names the rule it relies on. Everything above works with references and slices.
//! References that are made here live as long as the call they were made for: rule 3 makes the caller keep what it
//! gave until then.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    slice,
};

use crate::{
    error::{Failure, Result},
    event::evs_event,
    message::evs_message,
    observer::evs_observer,
    receipt::evs_receipt,
    stats::evs_stats,
    status::evs_status,
    text::{EVS_ZSTR, evs_str},
    who::evs_who,
};

/// A text that a caller gave as address and length.
pub(crate) fn text<'a>(text: *const c_char, len: usize, name: &str) -> Result<&'a str> {
    text_or(evs_status::InvalidArgument, text, len, name)
}

/// The name of a channel that a caller gave as address and length; what is wrong with it beyond UTF-8 is found later.
pub(crate) fn channel<'a>(text: *const c_char, len: usize) -> Result<&'a str> {
    text_or(evs_status::InvalidChannel, text, len, "channel")
}

/// A text that a caller gave, and the status for one that is none.
pub(crate) fn text_or<'a>(
    otherwise: evs_status,
    text: *const c_char,
    len: usize,
    name: &str,
) -> Result<&'a str> {
    let bytes = text_bytes(text, len, name)?;
    str::from_utf8(bytes).map_err(|error| {
        let (at, len) = (error.valid_up_to(), bytes.len());
        Failure::new(otherwise, format!("{name} is not UTF-8: byte {at} of {len} cannot be read"))
    })
}

/// A text that a caller gave, in whatever encoding.
pub(crate) fn text_bytes<'a>(text: *const c_char, len: usize, name: &str) -> Result<&'a [u8]> {
    if len != EVS_ZSTR {
        return bytes(text.cast(), len, name);
    }
    if text.is_null() {
        return Err(Failure::argument(format!("{name} is NULL, which is allowed only with length 0")));
    }
    // SAFETY: rule 3: it is ended by NUL, and stays unchanged until the call is over.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The names of channels that a caller gave as an array.
pub(crate) fn channels<'a>(channels: *const evs_str, len: usize) -> Result<Vec<&'a str>> {
    elements(channels, len, "channels")?.iter().map(|view| channel(view.ptr, view.len)).collect()
}

/// Bytes that a caller gave as address and length.
pub(crate) fn bytes<'a>(bytes: *const c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    elements(bytes.cast(), len, name)
}

/// Texts that a caller gave as an array.
pub(crate) fn texts<'a>(texts: *const evs_str, len: usize, name: &str) -> Result<Vec<&'a str>> {
    let views = elements(texts, len, name)?;
    views.iter().map(|view| text(view.ptr, view.len, name)).collect()
}

/// A structure that begins with its size, and may have more or fewer fields than the one we know.
///
/// # Safety
///
/// It is `repr(C)`, its first field is a `usize` that holds its size, and all zeros are a value of it.
pub(crate) unsafe trait Growing: Copy {
    /// Its name in C.
    const NAME: &'static str;
    /// The size that it had when it was new.
    const FIRST_BYTES: usize = size_of::<Self>();
}

macro_rules! growing {
    ($($name:ident),+) => {$(
        // SAFETY: it is `repr(C)`, begins with its size, and is made of numbers, addresses and callbacks that may be NULL.
        unsafe impl Growing for $name {
            const NAME: &'static str = stringify!($name);
        }
    )+};
}

growing!(evs_event, evs_message, evs_observer, evs_receipt, evs_stats, evs_who);

/// A structure that a caller has filled in. Fields that it does not know are zero.
pub(crate) fn read_sized<T: Growing>(given: *const T) -> Result<T> {
    let size = given_size(given)?;
    let known = size.min(size_of::<T>());
    // SAFETY: rule 5: the caller's structure has `size` bytes.
    let given = unsafe { slice::from_raw_parts(given.cast::<MaybeUninit<u8>>(), size) };
    // SAFETY: rule 5: the caller has set all of them.
    let is_zero = |byte: &MaybeUninit<u8>| unsafe { byte.assume_init() } == 0;
    if !given[known..].iter().all(is_zero) {
        let text = format!("{} has fields that this version of libevstream does not know", T::NAME);
        return Err(Failure::argument(text));
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let bytes = value.as_mut_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: `known` bytes lie in both, and they do not overlap.
    unsafe { bytes.copy_from_nonoverlapping(given.as_ptr(), known) };
    // SAFETY: all zeros are a value (the trait says so), and so is what C wrote over them (rule 5).
    Ok(unsafe { value.assume_init() })
}

/// Fills in a structure of the caller's, as much of it as the caller knows. NULL is left alone.
pub(crate) fn write_sized<T: Growing>(out: *mut T, value: &T) -> Result<()> {
    if out.is_null() {
        return Ok(());
    }
    let size = given_size(out)?;
    let known = size.min(size_of::<T>());
    let skip = size_of::<usize>();
    let from = std::ptr::from_ref(value).cast::<MaybeUninit<u8>>();
    let to = out.cast::<MaybeUninit<u8>>();
    // SAFETY: the size stays what the caller set, so the copy begins behind it, which is inside the value.
    let from = unsafe { from.add(skip) };
    // SAFETY: the same, in the caller's structure.
    let to = unsafe { to.add(skip) };
    // SAFETY: rule 5: the caller's structure has `size` bytes. They are not ours, so they do not overlap.
    unsafe { to.copy_from_nonoverlapping(from, known - skip) };
    Ok(())
}

/// A bool in a structure of the caller's. It may be any byte there, and only 0 is false, as for most C compilers.
pub(crate) fn truth(flag: MaybeUninit<bool>) -> bool {
    // SAFETY: rule 5: the caller has set it, and a byte may have any value.
    unsafe { flag.as_ptr().cast::<u8>().read() != 0 }
}

/// Checks that a structure for results can be written, before anything is done that cannot be undone.
pub(crate) fn check_sized<T: Growing>(out: *const T) -> Result<()> {
    if out.is_null() { Ok(()) } else { given_size(out).map(drop) }
}

/// An object that may belong to us although a caller has its address, as in a callback.
pub(crate) trait Lent {
    /// Whether it is only shown to the caller.
    fn is_lent(&self) -> bool;
}

/// Frees an object of the caller's, and leaves alone what it was only shown.
pub(crate) fn free_unless_lent<T: Lent>(object: *mut T) {
    // SAFETY: rule 2: it is NULL, or an object of ours that lives.
    if unsafe { object.as_ref() }.is_some_and(|object| !object.is_lent()) {
        // SAFETY: rule 2: it was made by `Box::into_raw`, and is given up by this call.
        drop(unsafe { Box::from_raw(object) });
    }
}

/// A descriptor of our own for what the caller's is open on.
pub(crate) fn duplicate(fd: c_int) -> Result<OwnedFd> {
    if fd < 0 {
        return Err(Failure::argument(format!("fd must not be negative, unlike {fd}")));
    }
    // SAFETY: it is used at once, and only to duplicate it, which fails if the descriptor is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    borrowed.try_clone_to_owned().map_err(|error| {
        let status = match error.raw_os_error() {
            Some(libc::EBADF) => evs_status::InvalidArgument,
            _ => evs_status::Io,
        };
        Failure::new(status, format!("fd {fd} cannot be duplicated: {error}"))
    })
}

/// An address of the caller's that is handed back to it, and never looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opaque(pub(crate) *mut c_void);

// SAFETY: rule 7: the caller makes what it points to fit for the threads on which its callbacks run.
unsafe impl Send for Opaque {}
// SAFETY: the same.
unsafe impl Sync for Opaque {}

/// Views of texts, to be shown to a callback.
pub(crate) fn views<S: AsRef<str>>(texts: &[S]) -> Vec<evs_str> {
    texts.iter().map(|text| evs_str::from(text.as_ref())).collect()
}

fn elements<'a, T>(elements: *const T, len: usize, name: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if elements.is_null() {
        return Err(Failure::argument(format!("{name} is NULL, which is allowed only with length 0")));
    }
    if !elements.is_aligned() {
        return Err(Failure::argument(format!("{name} is not aligned")));
    }
    if len > isize::MAX as usize / size_of::<T>() {
        return Err(Failure::argument(format!("{name} cannot have length {len}")));
    }
    // SAFETY: rule 3: there are `len` elements, and they stay unchanged until the call is over. The rest was checked.
    Ok(unsafe { slice::from_raw_parts(elements, len) })
}

/// The size that a structure has for the caller.
fn given_size<T: Growing>(given: *const T) -> Result<usize> {
    if given.is_null() {
        return Err(Failure::argument(format!("{} must not be NULL", T::NAME)));
    }
    if !given.is_aligned() {
        return Err(Failure::argument(format!("{} is not aligned", T::NAME)));
    }
    // SAFETY: rule 5: it begins with its size. It is aligned and not NULL.
    let size = unsafe { given.cast::<usize>().read() };
    if size.is_multiple_of(align_of::<T>()) && (T::FIRST_BYTES..=MAX_BYTES).contains(&size) {
        return Ok(size);
    }
    let init = T::NAME.to_uppercase();
    let text =
        format!("struct_size of {} is {size}; start with {init}_INIT, or set it to its sizeof", T::NAME);
    Err(Failure::argument(text))
}

/// More than any structure will ever have; what is larger was not set.
const MAX_BYTES: usize = 4_096;

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::{fd::AsRawFd, unix::net::UnixStream},
        ptr::null,
    };

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        struct_size: usize,
        a: u64,
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        struct_size: usize,
        a: u64,
        b: u32,
    }

    // SAFETY: it is `repr(C)`, begins with its size, and is made of integers.
    unsafe impl Growing for Old {
        const NAME: &'static str = "evs_thing";
    }

    // SAFETY: the same.
    unsafe impl Growing for New {
        const NAME: &'static str = "evs_thing";
        const FIRST_BYTES: usize = size_of::<Old>();
    }

    fn message<T>(result: Result<T>) -> String {
        let failure = result.err().unwrap();
        assert_eq!(failure.status, evs_status::InvalidArgument);
        failure.message
    }

    #[test]
    fn texts_are_checked() {
        assert_eq!(text(c"abc".as_ptr(), 2, "name").unwrap(), "ab");
        assert_eq!(text(null(), 0, "name").unwrap(), "");
        let refused = "name is NULL, which is allowed only with length 0";
        assert_eq!(message(text(null(), 1, "name")), refused);
        let refused = "name is not UTF-8: byte 1 of 3 cannot be read";
        assert_eq!(message(text(c"a\xffb".as_ptr(), 3, "name")), refused);
        let refused = format!("name cannot have length {}", usize::MAX - 1);
        assert_eq!(message(text(c"".as_ptr(), usize::MAX - 1, "name")), refused);
    }

    #[test]
    fn texts_may_be_ended_by_nul() {
        assert_eq!(text(c"abc".as_ptr(), EVS_ZSTR, "name").unwrap(), "abc");
        assert_eq!(text(c"".as_ptr(), EVS_ZSTR, "name").unwrap(), "");
        let refused = "name is NULL, which is allowed only with length 0";
        assert_eq!(message(text(null(), EVS_ZSTR, "name")), refused);
        let refused = "name is not UTF-8: byte 1 of 3 cannot be read";
        assert_eq!(message(text(c"a\xffb".as_ptr(), EVS_ZSTR, "name")), refused);
        assert_eq!(text_bytes(c"\xff".as_ptr(), EVS_ZSTR, "name").unwrap(), b"\xff");
        let views = [evs_str { ptr: c"a".as_ptr(), len: EVS_ZSTR }];
        assert_eq!(texts(views.as_ptr(), 1, "channels").unwrap(), ["a"]);
    }

    #[test]
    fn arrays_of_texts() {
        let views = [evs_str::from("a"), evs_str::from("")];
        assert_eq!(texts(views.as_ptr(), 2, "channels").unwrap(), ["a", ""]);
        let broken = [evs_str { ptr: null(), len: 1 }];
        assert!(message(texts(broken.as_ptr(), 1, "channels")).starts_with("channels is NULL"));
        let off = std::ptr::without_provenance(1);
        assert_eq!(message(texts(off, 1, "channels")), "channels is not aligned");
    }

    #[test]
    fn a_program_may_be_older_than_the_library() {
        let mut old = Old { struct_size: size_of::<Old>(), a: 7 };
        let as_new = std::ptr::from_mut(&mut old).cast::<New>();
        assert_eq!(read_sized(as_new).unwrap(), New { struct_size: size_of::<Old>(), a: 7, b: 0 });
        write_sized(as_new, &New { struct_size: 0, a: 8, b: 9 }).unwrap();
        assert_eq!(old, Old { struct_size: size_of::<Old>(), a: 8 });
    }

    #[test]
    fn a_program_may_be_newer_than_the_library() {
        #[repr(C)]
        struct Newer(New, u64);
        let struct_size = size_of::<Newer>();
        let mut newer = Newer(New { struct_size, a: 1, b: 2 }, 0);
        let as_new = std::ptr::from_mut(&mut newer).cast::<New>();
        assert_eq!(read_sized(as_new).unwrap(), New { struct_size, a: 1, b: 2 });
        write_sized(as_new, &New { struct_size: 0, a: 3, b: 4 }).unwrap();
        assert_eq!((newer.0, newer.1), (New { struct_size, a: 3, b: 4 }, 0));
        newer.1 = 5;
        let refused = "evs_thing has fields that this version of libevstream does not know";
        assert_eq!(message(read_sized(std::ptr::from_ref(&newer).cast::<New>())), refused);
    }

    #[test]
    fn any_byte_can_be_a_bool() {
        for byte in [0, 1, 2, 255] {
            let mut flag = MaybeUninit::<bool>::uninit();
            // SAFETY: it has room for a byte.
            unsafe { flag.as_mut_ptr().cast::<u8>().write(byte) };
            assert_eq!(truth(flag), byte != 0);
        }
    }

    #[test]
    fn sizes_that_were_not_set_are_refused() {
        for struct_size in [0, 8, size_of::<Old>() - 1, size_of::<Old>() + 1, MAX_BYTES + 8, usize::MAX] {
            let old = Old { struct_size, a: 0 };
            let text = format!(
                "struct_size of evs_thing is {struct_size}; start with EVS_THING_INIT, or set it to its sizeof"
            );
            assert_eq!(message(read_sized(&raw const old)), text);
        }
        assert_eq!(message(read_sized(null::<Old>())), "evs_thing must not be NULL");
        let off = std::ptr::without_provenance::<Old>(1);
        assert_eq!(message(read_sized(off)), "evs_thing is not aligned");
        assert!(write_sized(std::ptr::null_mut(), &Old { struct_size: 0, a: 0 }).is_ok());
    }

    #[test]
    fn what_is_lent_is_not_freed() {
        struct Object(bool);
        impl Lent for Object {
            fn is_lent(&self) -> bool {
                self.0
            }
        }
        let owned = Box::into_raw(Box::new(Object(false)));
        free_unless_lent(owned);
        let mut lent = Object(true);
        free_unless_lent(&raw mut lent);
        free_unless_lent(std::ptr::null_mut::<Object>());
    }

    #[test]
    #[cfg_attr(miri, ignore = "it has no sockets")]
    fn a_duplicate_outlives_its_original() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let duplicate = duplicate(far.as_raw_fd()).unwrap();
        drop(far);
        UnixStream::from(duplicate).write_all(b"x").unwrap();
        let mut got = String::new();
        near.read_to_string(&mut got).unwrap();
        assert_eq!(got, "x");
        assert_eq!(message(super::duplicate(-1)), "fd must not be negative, unlike -1");
        assert!(message(super::duplicate(1_000_000)).starts_with("fd 1000000 cannot be duplicated: "));
    }
}
