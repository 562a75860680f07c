use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ED25519, date_time_ymd};
use rustls::SignatureScheme;
use tempfile::TempDir;

use super::*;
use crate::config::CertificateFiles;

/// What clients of today verify.
const MODERN: [SignatureScheme; 2] = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];

/// 2026-11-30.
const NOW: Timestamp = Timestamp::from_millis(1_795_996_800_000);

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    std::fs::write(dir.join(name), text).expect("written");
    dir.join(name)
}

/// Writes a certificate and its key, and names their files.
fn files(dir: &Path, name: &str, params: &CertificateParams, key: &KeyPair) -> CertificateFiles {
    let certificate = params.self_signed(key).expect("a certificate");
    CertificateFiles {
        cert_file: write(dir, &format!("{name}.pem"), &certificate.pem()),
        key_file: write(dir, &format!("{name}.key"), &key.serialize_pem()),
    }
}

fn config(certificates: Vec<CertificateFiles>) -> TlsConfig {
    TlsConfig { listen: ([127, 0, 0, 1], 0).into(), only: false, client_ca_file: None, certificates }
}

fn sessions() -> Sessions {
    Sessions::new().expect("random bytes")
}

/// A table of one certificate for each list of names.
fn table(dir: &TempDir, certificates: &[&[&str]]) -> Arc<Table> {
    let written = certificates.iter().enumerate();
    let files = written.map(|(index, names)| files(dir.path(), &index.to_string(), &params(names), &key()));
    Arc::new(Table::read("gateway.tls", &config(files.collect()), &sessions()).expect("a table"))
}

fn refusal(config: &TlsConfig) -> String {
    match Table::read("gateway.tls", config, &sessions()) {
        Ok(_) => panic!("a refusal"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let dir = TempDir::new().expect("a directory");
    let table = table(&dir, &[&["first.example"], &["*.shop.example"], &["www.shop.example", "Shop.example"]]);
    for (name, expected, is_named) in [
        (Some("first.example"), "first.example", true),
        (Some("a.shop.example"), "*.shop.example", true),
        (Some("A.SHOP.example"), "*.shop.example", true),
        (Some("www.shop.example"), "shop.example, www.shop.example", true),
        (Some("shop.example"), "shop.example, www.shop.example", true),
        (Some("a.b.shop.example"), "first.example", false),
        (Some(".shop.example"), "first.example", false),
        (Some("other.example"), "first.example", false),
        (Some(""), "first.example", false),
        (None, "first.example", false),
    ] {
        let (chosen, found) = table.choose(name, &MODERN);
        assert_eq!((chosen.names().to_string().as_str(), found), (expected, is_named), "{name:?}");
    }
}

#[test]
fn of_two_kinds_of_key_the_client_gets_the_one_it_can_verify() {
    let dir = TempDir::new().expect("a directory");
    let names = params(&["shop.example"]);
    let edwards = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let both = vec![files(dir.path(), "ecdsa", &names, &key()), files(dir.path(), "edwards", &names, &edwards)];
    let table = Table::read("gateway.tls", &config(both), &sessions()).expect("a table");
    let chosen = |schemes: &[SignatureScheme]| table.choose(Some("shop.example"), schemes).0.digest();
    let [ecdsa, edwards] = [0, 1].map(|index| table.certificates().nth(index).expect("two").digest());
    assert_eq!(chosen(&MODERN), ecdsa);
    assert_eq!(chosen(&[SignatureScheme::ED25519]), edwards);
    assert_eq!(chosen(&[]), ecdsa, "it will fail, whatever is served");
}

#[test]
fn a_connection_is_for_the_hosts_of_its_certificate() {
    let dir = TempDir::new().expect("a directory");
    let table = table(&dir, &[&["first.example", "192.0.2.1", "2001:db8::1"], &["*.shop.example"]]);
    let is_for = |name: Option<&str>, host: &str| {
        let (served, is_named) = table.choose(name, &MODERN);
        Secured::new(Arc::clone(served), is_named, Arc::clone(&table), false).is_for(host)
    };
    for (name, host, expected) in [
        (Some("a.shop.example"), "a.shop.example", true),
        (Some("a.shop.example"), "b.shop.example:8443", true),
        (Some("a.shop.example"), "b.shop.example.", true),
        (Some("a.shop.example"), "shop.example", false),
        (Some("a.shop.example"), "first.example", false),
        (Some("a.shop.example"), "of-no-certificate.example", false),
        (Some("first.example"), "192.0.2.1:8443", true),
        (Some("first.example"), "[2001:db8::1]:8443", true),
        (Some("first.example"), "[2001:db8::2]", false),
        // The first certificate was served for want of another.
        (None, "first.example", true),
        (None, "192.0.2.1", true),
        (None, "of-no-certificate.example", true),
        (None, "198.51.100.1:8443", true),
        (None, "a.shop.example", false),
        (Some("unknown.example"), "unknown.example", true),
        (Some("unknown.example"), "of-no-certificate.example", true),
        (Some("unknown.example"), "a.shop.example", false),
    ] {
        assert_eq!(is_for(name, host), expected, "{name:?} asks for {host}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_remedy_and_without_their_content() {
    let dir = TempDir::new().expect("a directory");
    let (own, other) = (key(), key());
    let good = files(dir.path(), "good", &params(&["shop.example"]), &own);
    let secret: String = own.serialize_pem().lines().nth(1).expect("a line").chars().take(20).collect();
    let broken = own.serialize_pem().replace("-----END", "-----NO END").replace(&secret, "§§§§");
    let cert = |file: PathBuf| CertificateFiles { cert_file: file, ..good.clone() };
    let key = |file: PathBuf| CertificateFiles { key_file: file, ..good.clone() };
    let at = |name: &str, text: &str| write(dir.path(), name, text);
    let encrypted = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{secret}\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let nonsense_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (files, setting, reason) in [
        (cert("/no/such.pem".into()), "cert_file = \"/no/such.pem\"", "it can't be read: No such file"),
        (cert(dir.path().into()), "cert_file", "it can't be read: Is a directory"),
        (cert(at("empty.pem", "")), "empty.pem\"", "there is no certificate in it"),
        (cert(good.key_file.clone()), "good.key\"", "there is no certificate in it"),
        (cert(at("nonsense.pem", nonsense)), "nonsense.pem\"", "the certificate can't be read"),
        (key("/no/such.key".into()), "key_file = \"/no/such.key\"", "it can't be read: No such file"),
        (key(good.cert_file.clone()), "good.pem\"", "there is no private key in it"),
        (key(at("encrypted.key", &encrypted)), "encrypted.key\"", "there is no private key in it"),
        (key(at("broken.key", &broken)), "broken.key\"", "it is damaged"),
        (key(at("nonsense.key", nonsense_key)), "nonsense.key\"", "the key is of a kind that is not known"),
        (key(at("other.key", &other.serialize_pem())), "other.key\"", "it is not the key of the certificate in"),
    ] {
        let said = refusal(&config(vec![good.clone(), files]));
        assert!(said.starts_with("gateway.tls.certificate.") && said.contains(setting), "{said}");
        assert!(said.contains(reason) && said.contains("; name a file"), "{said}");
        assert!(!said.contains(&secret) && !said.contains("§") && !said.contains('\n'), "{said}");
    }
    let clients = TlsConfig { client_ca_file: Some(good.key_file.clone()), ..config(vec![good]) };
    let said = refusal(&clients);
    assert!(said.starts_with("gateway.tls.client_ca_file = ") && said.contains("there is no certificate"), "{said}");
}

#[test]
fn what_clients_refuse_is_noted_and_served() {
    let dir = TempDir::new().expect("a directory");
    let mut expired = params(&["expired.example"]);
    expired.not_after = date_time_ymd(2026, 11, 20);
    let mut early = params(&["early.example"]);
    early.not_before = date_time_ymd(2027, 1, 1);
    let mut for_clients = params(&["clients.example"]);
    for_clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut for_servers = params(&["servers.example"]);
    for_servers.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let all = [params(&["good.example"]), expired, early, for_clients, for_servers, params(&[])];
    let files = all.iter().enumerate().map(|(index, one)| files(dir.path(), &index.to_string(), one, &key()));
    let table = Table::read("admin.tls", &config(files.collect()), &sessions()).expect("a table");
    let notes = table.notes(NOW);
    assert_eq!(notes.len(), 4, "{notes:?}");
    for (note, expected) in notes.iter().zip([
        "admin.tls.certificate: number 2 (expired.example) has expired 10 days ago",
        "admin.tls.certificate: number 3 (early.example) is not valid yet",
        "admin.tls.certificate: number 4 (clients.example) is not for servers",
        "admin.tls.certificate: number 6 ((no DNS name)) has no DNS name",
    ]) {
        assert!(note.starts_with(expected), "{note}");
    }
}

#[test]
fn certificates_are_replaced_as_a_whole_or_not_at_all() {
    let dir = TempDir::new().expect("a directory");
    let kept = files(dir.path(), "kept", &params(&["kept.example"]), &key());
    let old = files(dir.path(), "old", &params(&["old.example"]), &key());
    let sessions = sessions();
    let table = Table::read("gateway.tls", &config(vec![kept.clone(), old]), &sessions).expect("a table");
    let certificates = Certificates::new("gateway.tls", sessions, table);
    let served = |certificates: &Certificates| {
        certificates.now().certificates().map(|one| one.names().to_string()).collect::<Vec<_>>()
    };

    let new = files(dir.path(), "new", &params(&["new.example"]), &key());
    let half = config(vec![new.clone(), CertificateFiles { key_file: kept.key_file.clone(), ..new.clone() }]);
    assert!(certificates.read(&half).is_err());
    assert_eq!(served(&certificates), ["kept.example", "old.example"]);

    let before = certificates.now();
    let read = certificates.read(&config(vec![kept, new])).expect("a table");
    let changes = certificates.replace(read);
    assert_eq!(served(&certificates), ["kept.example", "new.example"]);
    let told = ["gateway.tls serves a new one (new.example)", "gateway.tls serves one no more (old.example)"];
    assert_eq!(changes.sentences(), told);
    assert!(before.choose(Some("old.example"), &MODERN).1, "connections of before keep theirs");
}

#[test]
fn authorities_of_clients_are_read() {
    let dir = TempDir::new().expect("a directory");
    let mut authority = params(&[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = files(dir.path(), "authority", &authority, &key());
    let own = files(dir.path(), "own", &params(&["admin.example"]), &key());
    let with_clients = TlsConfig { client_ca_file: Some(authority.cert_file), ..config(vec![own]) };
    let table = Table::read("admin.tls", &with_clients, &sessions()).expect("a table");
    let certificates = Certificates::new("admin.tls", sessions(), table);
    assert!(certificates.replace(certificates.read(&with_clients).expect("a table")).sentences().is_empty());
    let without = TlsConfig { client_ca_file: None, ..with_clients };
    let changes = certificates.replace(certificates.read(&without).expect("a table"));
    assert_eq!(changes.sentences(), ["admin.tls takes clients of other authorities"]);
}
