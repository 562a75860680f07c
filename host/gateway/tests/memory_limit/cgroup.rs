//! A memory cgroup of the test's own, where the machine lets one be made.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A memory cgroup; it is removed when it is dropped.
pub(crate) struct Cgroup {
    path: PathBuf,
    is_v2: bool,
}

/// A process that holds memory; killed when it is dropped.
pub(crate) struct Hog(Child);

impl Cgroup {
    /// A cgroup with this limit in bytes; none where it can't be made.
    pub(crate) fn limited(bytes: u64) -> Option<Self> {
        let name = format!("sandbar-test-{}", std::process::id());
        let (v1, v2) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let is_v2 = !v1.is_dir();
        let root = if is_v2 { v2 } else { v1 };
        let cgroup = Self { path: root.join(name), is_v2 };
        std::fs::create_dir(&cgroup.path).ok()?;
        let limit = if is_v2 { "memory.max" } else { "memory.limit_in_bytes" };
        std::fs::write(cgroup.path.join(limit), bytes.to_string()).ok()?;
        Some(cgroup)
    }

    /// The file to write a process id to, so that the process enters the cgroup.
    pub(crate) fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Processes that the kernel has killed for want of memory.
    pub(crate) fn kills(&self) -> u64 {
        let file = if self.is_v2 { "memory.events" } else { "memory.oom_control" };
        self.field(file, "oom_kill").unwrap_or(0)
    }

    /// The most that was ever used, in bytes.
    pub(crate) fn used_most(&self) -> u64 {
        self.number(if self.is_v2 { "memory.peak" } else { "memory.max_usage_in_bytes" })
    }

    /// Used bytes, without those of inactive files.
    pub(crate) fn working_set(&self) -> u64 {
        let used = self.number(if self.is_v2 { "memory.current" } else { "memory.usage_in_bytes" });
        let cold = if self.is_v2 { "inactive_file" } else { "total_inactive_file" };
        used.saturating_sub(self.field("memory.stat", cold).unwrap_or(0))
    }

    /// Starts a process in the cgroup that holds so many bytes.
    pub(crate) fn hog(&self, bytes: u64) -> Hog {
        // `tail` keeps a line in memory until it ends; this one never does.
        let script =
            format!("echo $$ > {}; (head -c {bytes} /dev/zero; sleep 600) | exec tail", self.procs().display());
        let mut command = Command::new("sh");
        command.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::null());
        Hog(command.spawn().expect("a shell"))
    }

    fn number(&self, file: &str) -> u64 {
        let text = std::fs::read_to_string(self.path.join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.path.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A cgroup can be removed only when no process is left in it.
        let left = std::fs::read_to_string(self.procs()).unwrap_or_default();
        for process in left.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        for _ in 0..50 {
            if std::fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
