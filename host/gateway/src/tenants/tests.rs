use std::time::Duration;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);

fn tenant(name: &str) -> TenantConfig {
    TenantConfig::named(name)
}

fn numbers(tenants: &Tenants, file: &[TenantConfig]) -> Vec<(String, u32)> {
    tenants.all(file).into_iter().map(|tenant| (tenant.name, tenant.incarnation)).collect()
}

fn named(names: &[(&str, u32)]) -> Vec<(String, u32)> {
    names.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
}

#[test]
fn a_tenant_that_leaves_the_file_and_comes_back_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = |now| Tenants::open(dir.path(), now).unwrap();
    let mut tenants = open(NOW);
    for (file, expected) in [
        (vec![tenant("shop"), tenant("news")], named(&[("shop", 0), ("news", 0)])),
        (vec![tenant("news")], named(&[("news", 0)])),
        (vec![tenant("news")], named(&[("news", 0)])),
        (vec![tenant("shop"), tenant("news")], named(&[("shop", 1), ("news", 0)])),
    ] {
        let all = tenants.all(&file);
        assert_eq!(numbers(&tenants, &file), expected);
        tenants.keep_file(&all, NOW).unwrap();
        // It is so after a restart too.
        tenants = open(NOW);
        assert_eq!(numbers(&tenants, &file), expected);
    }
    tenants.keep_file(&[], NOW).unwrap();
    let later = NOW.saturating_add(Duration::from_secs(32 * 86_400));
    assert_eq!(numbers(&open(later), &[tenant("shop")]), named(&[("shop", 0)]), "nothing of it can be left by then");
}

#[test]
fn one_that_was_made_over_the_api_outranks_the_file_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = [tenant("shop")];
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    tenants.keep_file(&tenants.all(&file), NOW).unwrap();
    let made = |name: &str, number| TenantConfig { incarnation: number, hosts: vec!["made".into()], ..tenant(name) };
    tenants.make(made("shop", 0)).unwrap();
    tenants.make(made("mine", 0)).unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.all(&file), [made("shop", 0), made("mine", 0)]);
    assert_eq!(tenants.outranking(&file), ["shop"]);
    tenants.unmake("shop", true, NOW).unwrap();
    tenants.unmake("mine", false, NOW).unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.all(&file), [tenant("shop")], "the file's comes back, and keeps what is stored");
    assert_eq!(tenants.incarnation("mine"), 1);
    tenants.make(made("mine", 1)).unwrap();
    assert_eq!(Tenants::open(dir.path(), NOW).unwrap().incarnation("mine"), 1);
}

#[test]
fn other_key_rules_are_noticed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    tenants.keep_file(&[tenant("shop")], NOW).unwrap();
    let mut other = tenant("shop");
    other.key.sort_query = true;
    let tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.with_other_keys(&[tenant("shop")]), Vec::<String>::new());
    assert_eq!(tenants.with_other_keys(&[other]), ["shop"]);
}

#[test]
fn what_can_not_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("tenants/made")).unwrap();
    let path = dir.path().join("tenants/made/shop.json");
    for text in [
        "{",
        r#"{"incarnation":0,"settings":{"name":"shop","colour":"red"}}"#,
        r#"{"incarnation":0,"settings":{"name":"news"}}"#,
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Tenants::open(dir.path(), NOW).unwrap_err().to_string();
        assert!(error.contains("shop.json") && error.contains("mend or remove it"), "{error}");
    }
}
