//! The type that stands for the engine where none is compiled in (without the feature `wasm`): it has no values.

use super::EngineConfig;

/// The engine that runs guests: there is none.
#[derive(Debug)]
pub enum Engine {}

impl Engine {
    /// Can't be called: there is no engine.
    pub const fn config(&self) -> &EngineConfig {
        match *self {}
    }

    /// Can't be called: there is no engine.
    pub const fn release_idle(&self) {
        match *self {}
    }
}
