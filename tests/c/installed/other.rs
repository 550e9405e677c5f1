//! Another Rust library, with a standard library of its own, for a program that has both.

/// Gives 10, by way of memory, formatting and a panic that is caught.
#[unsafe(no_mangle)]
pub extern "C" fn other_answer() -> i32 {
    let caught = std::panic::catch_unwind(|| {
        let texts: Vec<String> = (0..10).map(|number| number.to_string()).collect();
        std::panic::resume_unwind(Box::new(texts.len()));
    });
    caught.err().and_then(|panic| panic.downcast_ref::<usize>().copied()).map_or(-1, |len| len as i32)
}
