//! Completions and manual pages, as a shell and `man` take them.

use std::io::Write;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::program::{answer, tool};

/// Has a shell check the syntax of its completions.
fn parses(shell: &str) -> Option<TempDir> {
    let mut check = tool(shell)?;
    let dir = TempDir::new().expect("a directory");
    let script = dir.path().join("completions");
    std::fs::write(&script, answer(&["completions", shell])).expect("written");
    let output = check.arg("-n").arg(&script).output().expect("it runs");
    assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
    Some(dir)
}

/// What bash completes behind these words, the last of which is being typed.
fn completed(dir: &TempDir, words: &[&str]) -> Vec<String> {
    const COMPLETE: &str = r#"
        source "$1"; shift
        complete -p sandbar >/dev/null || exit 1
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        _sandbar sandbar "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", COMPLETE, "bash"]).arg(dir.path().join("completions")).args(words);
    let output = bash.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_subcommands_flags_and_values() {
    let Some(dir) = parses("bash") else { return };
    assert_eq!(completed(&dir, &["sandbar", "pol"]), ["policy"]);
    assert_eq!(completed(&dir, &["sandbar", "policy", "un"]), ["unbind"]);
    assert_eq!(completed(&dir, &["sandbar", "purge", "--surr"]), ["--surrogate-key"]);
    assert_eq!(completed(&dir, &["sandbar", "purge", "--mode", ""]), ["hard", "soft"]);
}

#[test]
fn zsh_and_fish_load_their_completions() {
    parses("zsh");
    let (Some(dir), Some(mut fish)) = (parses("fish"), tool("fish")) else { return };
    let script = dir.path().join("completions");
    fish.args(["--no-config", "--command", "source $argv[1]; complete --do-complete 'sandbar pol'"]).arg(script);
    let output = fish.output().expect("it runs");
    let completed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(completed.starts_with("policy\t"), "{completed}{}", String::from_utf8_lossy(&output.stderr));
}

/// A page as `man` shows it; what it complains of is an error.
fn shown(mut man: Command, page: &str) -> String {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("page.1");
    std::fs::File::create(&file).and_then(|mut file| file.write_all(page.as_bytes())).expect("written");
    man.args(["--warnings", "-l"]).arg(&file).env("MANPAGER", "cat").env("MANWIDTH", "100").env("LC_ALL", "C");
    let output = man.stdin(Stdio::null()).output().expect("it runs");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{complaints}\n{page}");
    // Bold letters are struck twice, with backspaces between.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[test]
fn manual_pages_render() {
    let dir = TempDir::new().expect("a directory");
    let into = dir.path().join("man1").display().to_string();
    let told = answer(&["man", "--dir", &into]);
    let main = answer(&["man"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("man1/sandbar.1")).expect("a page"), main);
    for page in ["sandbar-serve.1", "sandbar-policy.1", "sandbar-policy-bind.1", "sandbar-man.1"] {
        assert!(told.lines().any(|file| file.ends_with(&format!("/{page}"))), "{told}");
    }
    for file in told.lines() {
        let page = std::fs::read_to_string(file).expect("a page");
        let Some(man) = tool("man") else { return };
        let text = shown(man, &page);
        assert!(text.contains("EXIT STATUS") && text.contains("141"), "{text}");
        assert!(text.contains("SYNOPSIS") && text.contains("--json"), "{text}");
        assert!(text.contains(concat!("sandbar ", env!("CARGO_PKG_VERSION"))), "{text}");
    }
    let text = shown(tool("man").expect("it was there"), &main);
    assert!(text.contains("sandbar-policy(1)") && text.contains("sandbar-serve(1)"), "{text}");
}
