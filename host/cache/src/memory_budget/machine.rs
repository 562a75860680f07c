//! How much memory the machine, or the cgroup that the process is in, allows, and how much of it is used. Files are
//! read through a function, so that tests can say what is in them.
//!
//! A cgroup's file cache counts as used to the kernel until it is dropped, which it is before anything is killed: the part
//! of it that was not used for a while (`inactive_file`) is left out here, as Kubernetes does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How much memory is used, of how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Bytes in use, at the level that is nearest to its limit.
    pub used_bytes: u64,
    /// The limit of that level.
    pub limit_bytes: u64,
    /// Part of the last 10 seconds in which something waited for memory (PSI, `some`), in per cent.
    pub stalled_percent: f64,
}

impl Reading {
    /// Used bytes in per cent of the limit.
    pub fn used_percent(&self) -> f64 {
        self.used_bytes as f64 * 100.0 / self.limit_bytes.max(1) as f64
    }

    /// Bytes that may still be taken: a twentieth of the limit is left for memory that nobody counts.
    pub const fn room_bytes(&self) -> u64 {
        (self.limit_bytes - self.limit_bytes / 20).saturating_sub(self.used_bytes)
    }
}

/// Where the limits of this process are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Directories of cgroups, the process's own first, and which version they are.
    groups: Vec<(PathBuf, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Levels of a cgroup hierarchy that are looked at, from the process's own upwards.
const LEVELS_MAX: usize = 16;

/// Limits of so many bytes or more stand for no limit.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Reads a file; `None` where it can't be read.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Reads a real file.
pub fn from_disk(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

impl Machine {
    /// Finds the cgroups of this process.
    pub fn find(read: ReadFile<'_>) -> Self {
        let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        let mounts = read(Path::new("/proc/self/mountinfo")).unwrap_or_default();
        let mut groups = Vec::new();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let version = match controllers {
                "" => Version::V2,
                list if list.split(',').any(|name| name == "memory") => Version::V1,
                _ => continue,
            };
            if let Some((mounted, root)) = mount(&mounts, version) {
                groups.extend(levels(&mounted, &root, path).into_iter().map(|group| (group, version)));
            }
        }
        groups.retain(|(group, version)| read(&group.join(version.used())).is_some());
        Self { groups }
    }

    /// The memory use now, at the level that is nearest to its limit. `None` where nothing is known.
    pub fn read(&self, read: ReadFile<'_>) -> Option<Reading> {
        let levels = self.groups.iter().filter_map(|(group, version)| version.read(group, read));
        let (used_bytes, limit_bytes) = levels.chain(whole_machine(read)).max_by(|a, b| {
            let share = |level: &(u64, u64)| level.0 as f64 / level.1.max(1) as f64;
            share(a).total_cmp(&share(b))
        })?;
        Some(Reading { used_bytes, limit_bytes, stalled_percent: self.stalled_percent(read) })
    }

    /// The lowest of all limits in bytes; none where nothing is known.
    pub fn limit_bytes(&self, read: ReadFile<'_>) -> Option<u64> {
        let levels = self.groups.iter().filter_map(|(group, version)| version.read(group, read));
        levels.chain(whole_machine(read)).map(|(_, limit)| limit).min()
    }

    fn stalled_percent(&self, read: ReadFile<'_>) -> f64 {
        let own = self.groups.iter().find(|(_, version)| *version == Version::V2);
        let own = own.and_then(|(group, _)| read(&group.join("memory.pressure")));
        own.or_else(|| read(Path::new("/proc/pressure/memory"))).and_then(|text| stalled(&text)).unwrap_or(0.0)
    }
}

impl Version {
    const fn used(self) -> &'static str {
        match self {
            Self::V1 => "memory.usage_in_bytes",
            Self::V2 => "memory.current",
        }
    }

    /// Used bytes and limit of a level; `None` where it has no limit.
    fn read(self, group: &Path, read: ReadFile<'_>) -> Option<(u64, u64)> {
        let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
        let (limits, inactive): (&[&str], _) = match self {
            Self::V1 => (&["memory.limit_in_bytes"], "total_inactive_file"),
            Self::V2 => (&["memory.max", "memory.high"], "inactive_file"),
        };
        let limit = limits.iter().filter_map(|name| number(name)).min().filter(|limit| *limit < NO_LIMIT_BYTES)?;
        let stat = read(&group.join("memory.stat")).unwrap_or_default();
        let cold = fields(&stat).get(inactive).copied().unwrap_or(0);
        Some((number(self.used())?.saturating_sub(cold), limit))
    }
}

/// Where a cgroup hierarchy is mounted, and which part of it is mounted there.
fn mount(mounts: &str, version: Version) -> Option<(PathBuf, String)> {
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let (system, _source, options) = (kind.next()?, kind.next()?, kind.next().unwrap_or(""));
        let fits = match version {
            Version::V1 => system == "cgroup" && options.split(',').any(|name| name == "memory"),
            Version::V2 => system == "cgroup2",
        };
        let mut place = place.split(' ').skip(3);
        let (root, mounted) = (place.next()?, place.next()?);
        fits.then(|| (PathBuf::from(mounted), root.to_owned()))
    })
}

/// The directories from the process's own up to the mount. In a container the path may be that of the host, which is not
/// mounted there: then the mount itself is the process's own.
fn levels(mounted: &Path, root: &str, path: &str) -> Vec<PathBuf> {
    let below = path.strip_prefix(root).unwrap_or(path).trim_matches('/');
    let own = if below.is_empty() || below.starts_with("..") { mounted.to_owned() } else { mounted.join(below) };
    own.ancestors().take_while(|level| level.starts_with(mounted)).take(LEVELS_MAX).map(Path::to_owned).collect()
}

/// Used bytes and size of the machine's memory.
fn whole_machine(read: ReadFile<'_>) -> Option<(u64, u64)> {
    let text = read(Path::new("/proc/meminfo"))?;
    let fields = fields(&text);
    let (total, available) = (fields.get("MemTotal:")?, fields.get("MemAvailable:")?);
    Some(((total - available.min(total)) * 1024, total * 1024))
}

/// The first number of each line, by the word before it.
fn fields(text: &str) -> BTreeMap<&str, u64> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            Some((words.next()?, words.next()?.parse().ok()?))
        })
        .collect()
}

fn stalled(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\n");

    fn check(files: &[(&str, &str)], expected: Option<(u64, u64)>, stalled_percent: f64) {
        let files: BTreeMap<_, _> = files.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect();
        let read = |path: &Path| files.get(path).map(|text| (*text).to_owned());
        let machine = Machine::find(&read);
        let expected = expected.map(|(used_bytes, limit_bytes)| Reading { used_bytes, limit_bytes, stalled_percent });
        assert_eq!(machine.read(&read), expected);
    }

    #[test]
    fn without_a_cgroup_the_machine_counts() {
        check(&[MEMINFO], Some((400 << 10, 1000 << 10)), 0.0);
        check(&[], None, 0.0);
        let pressure = "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0 avg300=0 total=0\n";
        check(&[MEMINFO, ("/proc/pressure/memory", pressure)], Some((400 << 10, 1000 << 10)), 12.5);
    }

    const V2: (&str, &str) = (
        "/proc/self/mountinfo",
        "24 1 0:22 / /proc rw - proc proc rw\n29 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
    );

    #[test]
    fn version_two_with_the_limit_of_a_parent_and_without_cold_files() {
        check(
            &[
                MEMINFO,
                V2,
                ("/proc/self/cgroup", "0::/shop.slice/sandbar.service\n"),
                ("/sys/fs/cgroup/shop.slice/sandbar.service/memory.current", "700000\n"),
                ("/sys/fs/cgroup/shop.slice/sandbar.service/memory.max", "max\n"),
                (
                    "/sys/fs/cgroup/shop.slice/sandbar.service/memory.pressure",
                    "some avg10=3.00 avg60=0 avg300=0 total=1\n",
                ),
                ("/sys/fs/cgroup/shop.slice/memory.current", "900000\n"),
                ("/sys/fs/cgroup/shop.slice/memory.max", "1000000\n"),
                ("/sys/fs/cgroup/shop.slice/memory.stat", "anon 500000\ninactive_file 100000\nactive_file 5\n"),
            ],
            Some((800_000, 1_000_000)),
            3.0,
        );
    }

    #[test]
    fn memory_high_is_a_limit_too() {
        let group = [
            V2,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/memory.current", "50\n"),
            ("/sys/fs/cgroup/memory.max", "200\n"),
        ];
        check(&group, Some((50, 200)), 0.0);
        let high = [group.as_slice(), &[("/sys/fs/cgroup/memory.high", "100\n")]].concat();
        check(&high, Some((50, 100)), 0.0);
    }

    #[test]
    fn version_one_beside_an_empty_version_two() {
        check(
            &[
                (
                    "/proc/self/mountinfo",
                    "30 29 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                     31 29 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                     32 29 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
                ),
                ("/proc/self/cgroup", "4:memory:/docker/abc\n1:cpu:/\n0::/\n"),
                // In the container only the mount itself is there.
                ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "90\n"),
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "100\n"),
                ("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 20\n"),
            ],
            Some((70, 100)),
            0.0,
        );
    }

    #[test]
    fn a_limit_beyond_all_memory_is_none() {
        check(
            &[
                MEMINFO,
                ("/proc/self/mountinfo", "31 29 0:28 / /cg rw - cgroup cgroup rw,memory\n"),
                ("/proc/self/cgroup", "4:memory:/\n"),
                ("/cg/memory.usage_in_bytes", "90\n"),
                ("/cg/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
            Some((400 << 10, 1000 << 10)),
            0.0,
        );
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::find(&from_disk);
        if let Some(reading) = machine.read(&from_disk) {
            assert!(reading.limit_bytes > 0 && reading.used_percent() < 200.0, "{reading:?}");
            assert!(machine.limit_bytes(&from_disk) <= Some(reading.limit_bytes));
        }
    }
}
