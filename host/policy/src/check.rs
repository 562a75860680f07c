//! Whether bytes are a policy at all: read without an engine, before anything is compiled.

use wasmparser::{ComponentExternalKind, Encoding, Parser, Payload, Validator, WasmFeatures};

use super::{BindError, COMPONENT_BYTES_MAX, ContractVersion, Digest, GuestText, Role};
use crate::contract::unknown_version;

/// A component that may be a policy. Whether the functions of its roles have the right types shows when it is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The roles that the component has; at least one.
    pub roles: Vec<Role>,
    contracts: Vec<(Role, ContractVersion)>,
    /// Digest of the component's bytes.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
}

impl Checked {
    /// The version of the contract against which the component's interface of a role was built: the newest one, where
    /// it exports the role in several versions. None where the component does not have the role.
    pub fn contract(&self, role: Role) -> Option<ContractVersion> {
        self.contracts.iter().find(|(of, _)| *of == role).map(|(_, version)| *version)
    }
}

/// Validates a component and reads which roles it has. Whether it can be compiled and answers shows when it is bound,
/// or when it is tried with [`try_component`](super::try_component).
///
/// # Errors
/// When the component is too large, is not valid, is built against a version of the contract that the host does not
/// speak, imports what no policy may, or has no role.
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
    if let Some(version) = exports.iter().chain(&imports).find_map(|name| unknown_version(name)) {
        return Err(BindError::UnknownContract(GuestText::within(version, NAME_BYTES_MAX)));
    }
    let is_log = |import: &String| ContractVersion::ALL.iter().any(|version| *import == version.log_interface());
    if let Some(import) = imports.iter().find(|import| !is_log(import)) {
        return Err(BindError::ForbiddenImport(GuestText::within(import, NAME_BYTES_MAX)));
    }
    let built_against = |role| {
        let exported = |version: &&ContractVersion| exports.contains(&version.interface(role));
        ContractVersion::ALL.iter().find(exported).map(|version| (role, *version))
    };
    let contracts: Vec<_> = Role::ALL.into_iter().filter_map(built_against).collect();
    if contracts.is_empty() {
        return Err(BindError::NoRole);
    }
    let roles = contracts.iter().map(|(role, _)| *role).collect();
    Ok(Checked { roles, contracts, digest: Digest::of(bytes), size_bytes })
}

/// Bytes of an import's name, or of a version, that an error shows.
const NAME_BYTES_MAX: usize = 128;

/// The WebAssembly proposals that a policy may use: what current toolchains emit. No threads, no garbage collection, no
/// 64-bit memories: nothing whose bounds the engine does not set.
fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::COMPONENT_MODEL
}

/// Names of the outermost component's imports, and of the instances that it exports.
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
