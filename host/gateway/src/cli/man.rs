//! `sandbar man`: the manual pages, made from the arguments as they are declared.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::builder::Resettable;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use serde_json::json;

use super::exit::EXIT_CODES;
use super::{Cli, Failure, Output};
use crate::stdout::Stdout;

/// Arguments of `sandbar man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write a page for each subcommand into this directory: sandbar.1, sandbar-serve.1 and so on.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: ManArgs, output: Output) -> Result<(), Failure> {
    // Without the subcommand `help`, which would have a page for each of the others again, and without what `--help`
    // ends with, which has a section of its own here.
    let mut command = Cli::command().disable_help_subcommand(true).after_help(Resettable::Reset);
    command.build();
    let Some(dir) = args.dir else { return Ok(Stdout.write_all(&page(&man(command))?)?) };
    let mut files = Vec::new();
    write_all(command, &dir, &mut files).with_context(|| format!("can't write manual pages to {}", dir.display()))?;
    output.answer(&json!({ "files": files }), || files.join("\n"))?;
    Ok(())
}

/// Writes the pages of a command and of those below it.
fn write_all(command: Command, dir: &Path, files: &mut Vec<String>) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let below: Vec<Command> = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
    let man = man(command);
    let file = dir.join(man.get_filename());
    std::fs::write(&file, page(&man)?)?;
    files.push(file.display().to_string());
    below.into_iter().try_for_each(|command| write_all(command, dir, files))
}

/// The page of a command. Its date is a blank, as none is known that each build of this version would have; left out, the
/// version would be taken for it.
fn man(command: Command) -> Man {
    Man::new(command).date(" ").source(concat!("sandbar ", env!("CARGO_PKG_VERSION"))).manual("Sandbar")
}

/// A page as clap makes it, and the exit codes as its last section.
fn page(man: &Man) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut codes = Roff::new();
    codes.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        codes.control("TP", []);
        codes.text([bold(code.to_string())]);
        codes.text([roman(meaning)]);
    }
    page.extend_from_slice(codes.to_roff().as_bytes());
    Ok(page)
}
