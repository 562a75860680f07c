//! Whether bytes are a policy at all: read without an engine, before anything is compiled.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload, Validator, WasmFeatures};

use super::{BindError, COMPONENT_BYTES_MAX, Digest, GuestText, Role};

/// The one interface that a policy may import.
pub const LOG_INTERFACE: &str = "sandbar:policy/log@0.1.0";

/// A component that may be a policy. That the functions of its roles have the right types is seen when it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The roles it has; at least one.
    pub roles: Vec<Role>,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// The interface that a component exports to have a role.
pub(crate) const fn interface(role: Role) -> &'static str {
    match role {
        Role::Freshness => "sandbar:policy/freshness@0.1.0",
        Role::Eviction => "sandbar:policy/eviction@0.1.0",
        Role::Invalidation => "sandbar:policy/invalidation@0.1.0",
        Role::Warming => "sandbar:policy/warming@0.1.0",
    }
}

/// Validates a component and reads which roles it has. That it can be compiled and answers is seen when it is bound, or
/// tried with [`try_component`](super::try_component).
///
/// # Errors
/// When it is too large, no valid component, imports what no policy may, or has no role.
pub fn check(bytes: &[u8]) -> Result<Checked, BindError> {
    check_within(bytes, COMPONENT_BYTES_MAX)
}

pub(super) fn check_within(bytes: &[u8], limit_bytes: u64) -> Result<Checked, BindError> {
    let size_bytes = bytes.len() as u64;
    if size_bytes > limit_bytes {
        return Err(BindError::TooLarge { bytes: size_bytes, limit_bytes });
    }
    if !Parser::is_component(bytes) {
        return Err(BindError::Invalid(what_it_is(bytes).into()));
    }
    let invalid = |error: wasmparser::BinaryReaderError| BindError::Invalid(error.to_string().into());
    Validator::new_with_features(features()).validate_all(bytes).map_err(invalid)?;
    let (imports, exports) = names(bytes).map_err(invalid)?;
    if let Some(import) = imports.into_iter().find(|import| import != LOG_INTERFACE) {
        return Err(BindError::ForbiddenImport(GuestText::within(&import, NAME_BYTES_MAX)));
    }
    let roles: Vec<Role> =
        Role::ALL.into_iter().filter(|role| exports.iter().any(|export| export == interface(*role))).collect();
    if roles.is_empty() {
        return Err(BindError::NoRole);
    }
    Ok(Checked { roles, digest: Digest::of(bytes), size_bytes })
}

/// Bytes of a name that are shown.
const NAME_BYTES_MAX: usize = 128;

/// The proposals that a policy may use: what current toolchains emit. No threads, no garbage collection, no 64-bit
/// memories: nothing whose bounds the engine does not set.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::COMPONENT_MODEL
}

/// Names of what the outermost component imports, and of the instances that it exports.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), wasmparser::BinaryReaderError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding: Encoding::Component | Encoding::Module, .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Instance {
                        exports.push(export.name.name.to_owned());
                    }
                }
            }
            _ => {}
        }
    }
    Ok((imports, exports))
}

fn what_it_is(bytes: &[u8]) -> &'static str {
    if Parser::is_core_wasm(bytes) {
        "it is a core module; `sandbar policy build` makes a component of it"
    } else {
        "it is not WebAssembly"
    }
}
