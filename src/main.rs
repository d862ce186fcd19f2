//! The `lob` program; everything it does is in the library of this crate.

fn main() -> std::process::ExitCode {
    lob::run()
}
