//! The `sandbar` program.

/// Gives back to the system what a shrinking L1 has freed: else the machine has no more memory than before.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sandbar_gateway::cli::main()
}
