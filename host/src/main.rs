//! The `sandbar` program.

/// Gives memory back to the system soon after it was freed: a node that shrinks must be seen to, or it shrinks further.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sandbar::cli::main()
}
