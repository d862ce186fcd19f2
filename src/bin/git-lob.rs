//! The same program under the name that lets git find it as `git lob`.

fn main() -> std::process::ExitCode {
    lob::run()
}
