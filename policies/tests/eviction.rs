//! What the stock eviction policies have in common beside what every policy keeps to, which the host's tests look at
//! (`sandbar_policy::conformance`).

use sandbar_policies::eviction::{NATIVE, native};

#[test]
fn an_unknown_setting_is_named() {
    for native in NATIVE {
        let Err(error) = native.make(r#"{"no_such_setting": 1}"#, 100, 0) else { panic!("{} took it", native.name) };
        assert!(error.contains("no_such_setting"), "{error}");
    }
    assert!(native("no-such-policy", "", 1, 0).is_none());
}
