//! `cargo run -p evstream-ffi --example header` writes `include/evstream.h`.

mod generate;

fn main() -> std::io::Result<()> {
    std::fs::write(generate::path(), generate::header())
}
