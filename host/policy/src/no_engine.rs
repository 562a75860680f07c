//! What stands for the engine where none is compiled in (without the feature `wasm`): a value that nobody can have.

use super::EngineConfig;

/// The engine that runs guests: there is none.
#[derive(Debug)]
pub enum Engine {}

impl Engine {
    /// Never comes to it.
    pub const fn config(&self) -> &EngineConfig {
        match *self {}
    }

    /// Never comes to it.
    pub const fn release_idle(&self) {
        match *self {}
    }
}
