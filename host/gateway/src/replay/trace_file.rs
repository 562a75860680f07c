//! Reads traces from files: csv or an access log, compressed or not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::access_log::{AccessLog, is_log};
use super::csv;
use super::trace::Trace;

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operating system's error, or that of decompression.
        error: io::Error,
    },
    /// A line is no request.
    #[error("{} line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: u64,
        /// Why the line is no request.
        reason: String,
    },
    /// The file holds no request.
    #[error("{} holds no request", .0.display())]
    Empty(PathBuf),
}

/// The longest line that can be a request, in bytes.
const LINE_BYTES_MAX: u64 = 64 << 10;

impl Trace {
    /// Reads a trace: `time,key,size[,cost]` as csv (time in milliseconds, cost in microseconds; a header line may come
    /// first), or an access log in the common, the combined or this gateway's JSON form; zstd-compressed or not. Its first
    /// line tells which. Calls
    /// `progress` with the number of bytes that have been read of the file.
    ///
    /// # Errors
    /// When the file can't be read or a line is no request.
    pub fn open(path: &Path, progress: &mut dyn FnMut(u64)) -> Result<Self, TraceError> {
        let file = |error| TraceError::File { path: path.to_owned(), error };
        let mut raw = Counting { inner: BufReader::new(File::open(path).map_err(file)?), read_bytes: 0 };
        let magic = raw.inner.fill_buf().map_err(file)?;
        let is_zstd = magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
        if is_zstd {
            let mut lines = BufReader::with_capacity(1 << 20, zstd::Decoder::new(raw).map_err(file)?);
            Self::read(path, &mut lines, |lines| lines.get_ref().get_ref().get_ref().read_bytes, progress)
        } else {
            let mut lines = BufReader::with_capacity(1 << 20, raw);
            Self::read(path, &mut lines, |lines| lines.get_ref().read_bytes, progress)
        }
    }

    fn read<R: BufRead>(
        path: &Path,
        lines: &mut R,
        read_bytes: impl Fn(&R) -> u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, TraceError> {
        let mut trace = Self::default();
        let mut log = None;
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            let len = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text);
            if len.map_err(|error| TraceError::File { path: path.to_owned(), error })? == 0 {
                break;
            }
            let text = std::str::from_utf8(&text).map(str::trim).map_err(|_| "no UTF-8".to_owned());
            let done = text.and_then(|text| match &mut log {
                _ if text.is_empty() => Ok(()),
                None if line == 1 && is_log(text) => log.insert(AccessLog::default()).line(text),
                None => csv::line(text, line == 1, &mut trace),
                Some(log) => log.line(text),
            });
            done.map_err(|reason| TraceError::Line { path: path.to_owned(), line, reason })?;
            if line % 65_536 == 0 {
                progress(read_bytes(lines));
            }
        }
        if let Some(log) = log {
            log.finish(&mut trace);
        }
        progress(read_bytes(lines));
        trace.shrink_to_fit();
        if trace.requests().is_empty() { Err(TraceError::Empty(path.to_owned())) } else { Ok(trace) }
    }
}

/// A reader that counts the bytes read through it.
struct Counting<R> {
    inner: R,
    read_bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.read_bytes += len as u64;
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::trace::Request;
    use super::*;

    fn open(bytes: &[u8]) -> Result<Trace, TraceError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Trace::open(file.path(), &mut |_| ())
    }

    const CSV: &str = "time,key,size\n5,18446744073709551615,10\n6,7,20\n7,18446744073709551615,10\n";

    #[test]
    fn csv_and_compressed_csv_are_the_same() {
        let plain = open(CSV.as_bytes()).unwrap();
        let compressed = open(&zstd::encode_all(CSV.as_bytes(), 3).unwrap()).unwrap();
        assert_eq!(plain.requests(), compressed.requests());
        assert_eq!((plain.unique_keys(), plain.working_set_bytes()), (2, 30));
        assert_eq!(plain.requests()[2], Request { time_ms: 7, size_bytes: 10, key: 0, cost_us: 0 });
    }

    #[test]
    fn a_log_is_recognised() {
        let log = "10.0.0.1 - - [30/Aug/1995:00:00:01 +0000] \"GET /a HTTP/1.0\" 200 100\n\
                   10.0.0.1 - - [30/Aug/1995:00:00:02 +0000] \"GET /a HTTP/1.0\" 304 -\n";
        let trace = open(log.as_bytes()).unwrap();
        assert_eq!((trace.requests().len(), trace.working_set_bytes()), (2, 100));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = open(b"1,2,3\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("size"), "{error}");
        assert!(matches!(open(b"time,key,size\n"), Err(TraceError::Empty(_))));
        assert!(open(b"\xff\xfe,1,2\n").unwrap_err().to_string().contains("line 1"));
    }
}
