//! Links the addon so that Node can load it, also more than once in a process.

fn main() {
    napi_build::setup();
}
