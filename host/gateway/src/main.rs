//! The `sandbar` program.

/// jemalloc returns the memory that a shrinking L1 frees to the system; without that, shrinking would not help the
/// machine.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    sandbar_gateway::cli::main()
}
