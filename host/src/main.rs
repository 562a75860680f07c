//! The `sandbar` program.

fn main() -> std::process::ExitCode {
    sandbar::cli::main()
}
