//! Policies written by hand in WebAssembly text, so that they can do what no compiler would make: core modules that
//! export a role's functions under the names of the canonical ABI, turned into components with the contract's types.
//!
//! ```
//! let guest = sandbar_tests::guests::eviction("(i32.const 0)", "unreachable");
//! assert!(sandbar::policy::check(&guest).is_ok());
//! ```

use std::path::Path;

use sandbar::policy::Role;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Offset of a result `ok(())` or `ok([])`: memory is zero.
pub const ZERO: &str = "(i32.const 1024)";

/// An eviction policy: `configure` and `advance` are the bodies of these functions and leave a pointer to their result.
/// In `advance` the local `$events` points at the events, `$count` says how many words there are, `$reclaim` how many
/// bytes to reclaim.
pub fn eviction(configure: &str, advance: &str) -> Vec<u8> {
    eviction_with(configure, advance, ZERO, "")
}

/// Like [`eviction`], with bodies of `hand-over`, which leaves a pointer to three lists (each a pointer and a length),
/// and of `take-over`, which leaves nothing. The function `order` returns no entries.
pub fn eviction_with(configure: &str, advance: &str, hand_over: &str, take_over: &str) -> Vec<u8> {
    let functions = format!(
        r#"(func (export "sandbar:policy/eviction@0.1.0#configure")
             (param $text i32) (param $length i32) (param $capacity i64) (param $seed i64) (result i32) {configure})
           (func (export "sandbar:policy/eviction@0.1.0#advance")
             (param $now i64) (param $events i32) (param $count i32) (param $reclaim i64) (result i32) {advance})
           (func (export "sandbar:policy/eviction@0.1.0#order")
             (param $after i32) (param $limit i32) (result i32) {ZERO})
           (func (export "sandbar:policy/eviction@0.1.0#hand-over") (result i32) {hand_over})
           (func (export "sandbar:policy/eviction@0.1.0#take-over")
             (param $reads i32) (param $reads_length i32) (param $ghosts i32) (param $ghosts_length i32)
             (param $own i32) (param $own_length i32) {take_over})"#
    );
    component(Role::Eviction, &functions)
}

/// A freshness policy: `configure` and `plan` are the bodies of these functions. In `plan` the local `$arguments`
/// points at the arguments.
pub fn freshness(configure: &str, plan: &str) -> Vec<u8> {
    freshness_with("", configure, plan)
}

/// An invalidation policy: `configure` and `purges` are the bodies of these functions, the latter for events too.
pub fn invalidation(configure: &str, purges: &str) -> Vec<u8> {
    let functions = format!(
        r#"(func (export "sandbar:policy/invalidation@0.1.0#configure")
             (param $text i32) (param $length i32) (param $seed i64) (result i32) {configure})
           (func (export "sandbar:policy/invalidation@0.1.0#purges")
             (param $now i64) (param $method i32) (param $method_length i32) (param $site i32) (param $site_length i32)
             (param $target i32) (param $target_length i32) (param $status i32) (param $fields i32)
             (param $fields_length i32) (result i32) {purges})
           (func (export "sandbar:policy/invalidation@0.1.0#event-purges")
             (param $now i64) (param $topic i32) (param $topic_length i32) (param $payload i32) (param $payload_length i32)
             (result i32) {purges})"#
    );
    component(Role::Invalidation, &functions)
}

/// The body of a function that answers with a sentence: a result `error("no")`.
pub const REFUSE: &str = r#"
    (i32.store8 (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 2052) (i32.const 16))
    (i32.store (i32.const 2056) (i32.const 2))
    (i32.const 2048)"#;

/// A freshness policy whose `plan` logs this line as an error and then traps, as a panic does.
pub fn freshness_that_says(line: &str) -> Vec<u8> {
    let bytes: String = line.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let plan = format!("(call $write (i32.const 3) (i32.const 4096) (i32.const {})) unreachable", line.len());
    let functions = format!(
        r#"(data (i32.const 4096) "{bytes}")
           (func (export "sandbar:policy/freshness@0.1.0#configure")
             (param $text i32) (param $length i32) (param $seed i64) (result i32) {ZERO})
           (func $told (export "sandbar:policy/freshness@0.1.0#amend") (param $arguments i32) (result i32) {plan})"#
    );
    let write = r#"(import "sandbar:policy/log@0.1.0" "write" (func $write (param i32 i32 i32)))"#;
    component_with(Role::Freshness, write, &functions)
}

/// The component `policy` with two others inside, each with a memory of its own, of which one passes the other a text
/// when it starts, like an interpreter and its script.
///
/// # Panics
/// Where the result is no valid component.
pub fn composed(policy: &[u8]) -> Vec<u8> {
    let pair = wat::parse_str(PAIR).expect("the text is a component");
    // Instantiates a component by its number, without arguments. The pair is the last one, whose number is not known.
    let instantiated = |number: u8| {
        let section = |id: u8, content: &[u8]| [&[id][..], &leb(content.len()), content].concat();
        [policy, &section(4, &pair), &section(5, &[1, 0, number, 0])].concat()
    };
    let whole = (0..16).rev().map(instantiated).find(|whole| sandbar::policy::check(whole).is_ok());
    whole.expect("a component may hold others")
}

/// An unsigned number in LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

const PAIR: &str = r#"(component
  (component $length
    (core module $module
      (memory (export "memory") 1)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
      (func (export "length") (param i32 i32) (result i32) (local.get 1)))
    (core instance $core (instantiate $module))
    (func (export "length") (param "text" string) (result u32)
      (canon lift (core func $core "length") (memory (core memory $core "memory"))
        (realloc (core func $core "realloc")))))
  (component $asks
    (import "length" (func $length (param "text" string) (result u32)))
    (core module $memory (memory (export "memory") 1) (data (i32.const 0) "hello"))
    (core instance $memory (instantiate $memory))
    (core func $lowered (canon lower (func $length) (memory (core memory $memory "memory"))))
    (core module $module
      (import "" "length" (func $length (param i32 i32) (result i32)))
      (func $start (if (i32.ne (call $length (i32.const 0) (i32.const 5)) (i32.const 5)) (then unreachable)))
      (start $start))
    (core instance (instantiate $module (with "" (instance (export "length" (func $lowered)))))))
  (instance $length (instantiate $length))
  (instance (instantiate $asks (with "length" (func $length "length")))))"#;

/// The body of a function that asks for memory until it gets none, and then traps.
pub const HOARD: &str = r#"
    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    unreachable"#;

/// The body of a function that never ends.
pub const LOOP: &str = "(loop $again (br $again)) unreachable";

/// Like [`HOARD`], in a second memory, which is declared as [`SECOND_MEMORY`].
pub const HOARD_SECOND: &str = r#"
    (loop $more (br_if $more (i32.ne (memory.grow $second (i32.const 16)) (i32.const -1))))
    unreachable"#;

/// The declaration of a second memory of a module.
pub const SECOND_MEMORY: &str = "(memory $second 1)";

/// A freshness policy with these declarations in its module.
pub fn freshness_with(declarations: &str, configure: &str, plan: &str) -> Vec<u8> {
    let functions = format!(
        r#"{declarations}
           (func (export "sandbar:policy/freshness@0.1.0#configure")
             (param $text i32) (param $length i32) (param $seed i64) (result i32) {configure})
           (func (export "sandbar:policy/freshness@0.1.0#amend") (param $arguments i32) (result i32) {plan})"#
    );
    component(Role::Freshness, &functions)
}

/// A warming policy that wants nothing.
pub fn warming() -> Vec<u8> {
    let functions = format!(
        r#"(func (export "sandbar:policy/warming@0.1.0#configure")
             (param $text i32) (param $length i32) (param $seed i64) (result i32) {ZERO})
           (func (export "sandbar:policy/warming@0.1.0#wanted")
             (param $now i64) (param $usage i32) (param $count i32) (param $limit i32) (result i32) {ZERO})"#
    );
    component(Role::Warming, &functions)
}

/// The component of a module with these functions. From offset 8 its memory holds `\0\0..`, at 16 `no`; arguments are
/// allocated from offset 65,536 on and never freed.
fn component(role: Role, functions: &str) -> Vec<u8> {
    component_with(role, "", functions)
}

/// Like [`component`], with imports.
fn component_with(role: Role, imports: &str, functions: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
             {imports}
             (memory (export "memory") 2)
             (global $next (mut i32) (i32.const 65536))
             (data (i32.const 16) "no")
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
               (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
               (global.set $next (i32.add (local.get $at) (local.get 3)))
               (block $fits
                 (loop $grow
                   (br_if $fits (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                   (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
                   unreachable))
               (local.get $at))
             {functions})"#
    );
    let mut module = wat::parse_str(&text).expect("the text is WebAssembly");
    let mut contract = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit/0.1.0");
    let (package, _) = contract.push_dir(folder).expect("the contract can be read");
    let world = contract.select_world(&[package], Some(&format!("{role}-policy"))).expect("each role has a world");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("the types fit");
    let mut encoder = ComponentEncoder::default().module(&module).expect("the module has its types");
    encoder.encode().expect("the module exports what the role needs")
}
