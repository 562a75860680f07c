//! What another implementation sees: `openssl s_client`. Where it is not installed the test is skipped, and says so.

use std::process::{Command, Stdio};

use super::{gateway, origin, shop, tls_address, tls_section};

/// What `openssl s_client` says of a connection, with these further arguments; none where there is no `openssl`.
fn s_client(arguments: &[&str]) -> Option<String> {
    let command = Command::new("openssl").arg("s_client").args(arguments).stdin(Stdio::null()).output();
    match command {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some(String::from_utf8_lossy(&said).into_owned())
        }
        Err(_) => {
            eprintln!("SKIPPED: openssl is not installed");
            None
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_ciphers_protocols_and_chain_are_those_that_openssl_sees() {
    let ((authority, files), origin) = (shop(), origin().await);
    let gateway = gateway(&origin, &tls_section("", &[&files])).await;
    let (address, ca) = (tls_address(&gateway).to_string(), authority.file().display().to_string());
    let ask = |more: &[&str]| {
        let common = ["-connect", &address, "-servername", "a.shop.test", "-CAfile", &ca, "-verify_return_error"];
        let arguments: Vec<String> = common.iter().chain(more).map(|argument| (*argument).to_owned()).collect();
        tokio::task::spawn_blocking(move || s_client(&arguments.iter().map(String::as_str).collect::<Vec<_>>()))
    };
    for (arguments, expected) in [
        (&["-tls1_3", "-alpn", "h2,http/1.1"][..], &["TLSv1.3", "TLS_AES_256_GCM_SHA384", "ALPN protocol: h2"][..]),
        (&["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], &["TLSv1.3", "TLS_AES_128_GCM_SHA256"]),
        (&["-tls1_2", "-alpn", "http/1.1"], &["TLSv1.2", "ECDHE-ECDSA-AES", "GCM", "ALPN protocol: http/1.1"]),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], &["TLSv1.2", "ECDHE-ECDSA-CHACHA20-POLY1305"]),
        (&["-verify_hostname", "a.shop.test"], &["Verify return code: 0 (ok)", "Verification: OK"]),
    ] {
        let Some(said) = ask(arguments).await.unwrap() else { return };
        assert!(expected.iter().all(|expected| said.contains(expected)), "{arguments:?}: {said}");
    }
    // No old version, no cipher without forward secrecy, none in CBC mode.
    for arguments in [
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
        &["-tls1", "-cipher", "ALL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:AES256-GCM-SHA384"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA"],
        &["-alpn", "smtp"],
    ] {
        let Some(said) = ask(arguments).await.unwrap() else { return };
        assert!(said.contains("alert") || said.contains("Cipher is (NONE)"), "{arguments:?}: {said}");
    }
}
