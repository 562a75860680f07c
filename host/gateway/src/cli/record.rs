//! `sandbar record`: records a tenant's traffic as a trace, for up to a day.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use http::Method;
use http_body_util::BodyExt;
use sandbar::body::Body;
use serde_json::json;

use super::admin_client::{AdminArgs, segment};
use super::{Failure, Output};

/// Arguments of `sandbar record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Tenant whose traffic is recorded.
    #[arg(long, default_value = "default")]
    tenant: String,
    /// File to write the trace to; compressed with zstd where the name ends in .zst.
    #[arg(long, value_name = "FILE.csv.zst")]
    out: PathBuf,
    /// How long to record, in seconds, up to a day.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Which part of the keys to record: 1/16 takes all requests of one key in 16, so replay at a 16th of the capacity.
    #[arg(long, default_value = "1/1", value_name = "1/N")]
    sample: Sample,
}

/// A sample of the keys: one in so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample(NonZeroU32);

impl std::str::FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("1/").unwrap_or(if text == "1" { text } else { "" });
        number.parse().map(Self).map_err(|_| format!("`{text}` is no sample: say 1/16"))
    }
}

pub(super) async fn run(args: RecordArgs, output: Output) -> Result<(), Failure> {
    let mut file = TraceFile::create(&args.out).map_err(Failure::usage)?;
    let client = args.admin.client_for(Duration::from_secs(args.seconds + 90))?;
    let (tenant, seconds, sample) = (segment(&args.tenant), args.seconds, args.sample.0);
    let content =
        client.stream(Method::POST, &format!("/tenants/{tenant}/record?seconds={seconds}&sample={sample}")).await;
    let content = content.inspect_err(|_| file.discard())?;
    let end = receive(content, &mut file).await;
    let rows = file.rows;
    file.finish().with_context(|| format!("can't write {}", args.out.display()))?;
    let (file, dropped) = (args.out.display().to_string(), end?);
    let answer = json!({ "file": file, "recorded": rows, "dropped": dropped, "interrupted": dropped.is_none() });
    output.answer(&answer, || match dropped {
        Some(dropped) => format!("{rows} requests recorded, {dropped} dropped"),
        None => format!("{rows} requests recorded until it was interrupted"),
    })?;
    Ok(())
}

/// Writes the rows that arrive to `file`. Returns how many requests the gateway dropped, or none where Ctrl-C ended the
/// recording.
async fn receive(mut content: Body, file: &mut TraceFile) -> anyhow::Result<Option<u64>> {
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut rest = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = content.frame() => frame,
            _ = &mut interrupted => return Ok(None),
        };
        let Some(frame) = frame else { bail!("the gateway ended the recording early; what came until then is kept") };
        let frame = frame.map_err(|error| anyhow!("the recording broke off: {error}; what came until then is kept"))?;
        let Ok(bytes) = frame.into_data() else { continue };
        // `rest` has no line end in it: only the new bytes are searched.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| rest.len() + last + 1);
        rest.extend_from_slice(&bytes);
        for line in rest[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match line.strip_prefix(b"#") {
                Some(end) => return Ok(Some(dropped(end))),
                None => file.line(line).with_context(|| format!("can't write {}", file.path.display()))?,
            }
        }
        rest.drain(..whole);
    }
}

/// How many requests were dropped, of a last line such as `recorded 10 dropped 2`.
fn dropped(end: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(end);
    text.split_whitespace().last().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The file that the trace is written to.
struct TraceFile {
    path: PathBuf,
    writer: Writer,
    /// Lines without the heading.
    rows: u64,
    lines: u64,
}

enum Writer {
    Plain(BufWriter<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl TraceFile {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("can't write {}", path.display()))?;
        let is_zstd = path.extension().is_some_and(|extension| extension == "zst");
        let writer =
            if is_zstd { Writer::Zstd(zstd::Encoder::new(file, 3)?) } else { Writer::Plain(BufWriter::new(file)) };
        Ok(Self { path: path.to_owned(), writer, rows: 0, lines: 0 })
    }

    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.rows = self.lines;
        self.lines += 1;
        let writer: &mut dyn Write = match &mut self.writer {
            Writer::Plain(writer) => writer,
            Writer::Zstd(writer) => writer,
        };
        writer.write_all(line)?;
        writer.write_all(b"\n")
    }

    fn finish(self) -> io::Result<()> {
        match self.writer {
            Writer::Plain(mut writer) => writer.flush(),
            Writer::Zstd(writer) => writer.finish().map(drop),
        }
    }

    /// Removes the file, where no recording began.
    fn discard(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read() {
        assert_eq!("1/16".parse(), Ok(Sample(NonZeroU32::new(16).unwrap())));
        assert_eq!("1".parse(), Ok(Sample(NonZeroU32::MIN)));
        for text in ["", "16", "2/3", "1/0", "1/-1", "1/x"] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_end_says_what_was_dropped() {
        assert_eq!(dropped(b" recorded 10 dropped 2"), 2);
    }
}
