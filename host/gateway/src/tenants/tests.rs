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
    tenants.make(made("shop", 0), 0).unwrap();
    tenants.make(made("mine", 0), 7).unwrap();
    assert_eq!((tenants.version("mine"), tenants.registered().collect::<Vec<_>>()), (7, vec!["mine"]));
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.all(&file), [made("shop", 0), made("mine", 0)]);
    assert_eq!(tenants.outranking(&file), ["shop"]);
    tenants.unmake("shop", 0, Some(&tenant("shop")), 0, NOW).unwrap();
    tenants.unmake("mine", 0, None, 8, NOW).unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.all(&file), [tenant("shop")], "the file's comes back, and keeps what is stored");
    assert_eq!((tenants.incarnation("mine"), tenants.version("mine")), (1, 8));
    assert_eq!(tenants.incarnation_in_fleet("mine", NOW), 1_000_000, "the second, which nobody has had before");
    tenants.make(made("mine", 1), 9).unwrap();
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

/// What a fleet's register could have lost.
#[test]
fn all_that_a_node_knows_of_made_tenants_can_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    tenants.keep_file(&[tenant("file"), tenant("back")], NOW).unwrap();
    for (name, version) in [("mine", 3), ("local", 0), ("gone", 4), ("back", 5)] {
        tenants.make(TenantConfig { incarnation: 9, ..tenant(name) }, version).unwrap();
    }
    tenants.unmake("gone", 9, None, 6, NOW).unwrap();
    tenants.unmake("back", 9, Some(&TenantConfig { incarnation: 9, ..tenant("back") }), 7, NOW).unwrap();
    tenants.keep_epoch("e").unwrap();
    let tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.epoch(), "e");
    let mut told: Vec<_> = tenants.records("edge-1", NOW).into_iter().collect();
    told.sort_by(|one, other| one.name.cmp(&other.name));
    let shown = told.iter().map(|record| {
        let is_made = matches!(record.standing, Standing::Made(_));
        (
            &*record.name,
            record.version,
            record.incarnation,
            is_made,
            record.standing == Standing::Gone { is_back: true },
        )
    });
    let expected = [
        ("back", 7, 9, false, true),
        ("gone", 6, 9, false, false),
        ("local", 0, 9, true, false),
        ("mine", 3, 9, true, false),
    ];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn tenants_that_have_left_the_file_while_nothing_ran_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.keep_file(&[tenant("shop"), tenant("news")], NOW).unwrap(), Vec::<String>::new());
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!(tenants.keep_file(&[tenant("news")], NOW).unwrap(), ["shop"]);
}

#[test]
fn what_can_not_be_written_is_owed_in_a_fleet_and_refused_outside() {
    let dir = tempfile::tempdir().unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    tenants.make(tenant("old"), 3).unwrap();
    let (made, gone) = (dir.path().join("tenants/made"), dir.path().join("tenants/gone"));
    // Nothing can be written below what is no directory, whoever runs this.
    std::fs::rename(&made, dir.path().join("aside")).unwrap();
    std::fs::write(&made, "").unwrap();
    std::fs::write(&gone, "").unwrap();
    tenants.make(tenant("alone"), 0).unwrap_err();
    tenants.unmake("old", 0, None, 0, NOW).unwrap_err();
    assert_eq!(numbers(&tenants, &[]), named(&[("old", 0)]), "nothing has changed");
    tenants.make(tenant("shop"), 7).unwrap_err();
    tenants.unmake("old", 0, None, 8, NOW).unwrap_err();
    assert_eq!(numbers(&tenants, &[]), named(&[("shop", 0)]));
    assert!(tenants.owes("shop") && tenants.owes("old") && !tenants.owes("alone"));
    std::fs::remove_file(&made).unwrap();
    std::fs::remove_file(&gone).unwrap();
    std::fs::rename(dir.path().join("aside"), &made).unwrap();
    tenants.make(tenant("shop"), 7).unwrap();
    tenants.unmake("old", 0, None, 8, NOW).unwrap();
    assert!(!tenants.owes("shop") && !tenants.owes("old"));
    let tenants = Tenants::open(dir.path(), NOW).unwrap();
    assert_eq!((numbers(&tenants, &[]), tenants.version("old")), (named(&[("shop", 0)]), 8));
}

#[test]
fn one_that_is_left_out_makes_room_for_the_files_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut tenants = Tenants::open(dir.path(), NOW).unwrap();
    let made = |name: &str| TenantConfig { incarnation: 5, hosts: vec!["made".into()], ..tenant(name) };
    tenants.make(made("shop"), 7).unwrap();
    tenants.make(made("mine"), 8).unwrap();
    ["shop", "mine"].iter().for_each(|name| tenants.leave_out(name));
    assert_eq!(tenants.all(&[tenant("shop")]), [TenantConfig { incarnation: 5, ..tenant("shop") }]);
    assert!(tenants.owes("shop") && !tenants.is_registered("shop") && tenants.version("shop") == 7);
    tenants.make(made("shop"), 7).unwrap();
    assert!(!tenants.owes("shop"));
    assert_eq!(tenants.all(&[tenant("shop")]), [made("shop")]);
}
