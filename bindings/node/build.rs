//! Tells the linker what Node.js brings along.

fn main() {
    napi_build::setup();
}
