//! The metrics that any process has, under the names that Prometheus's own clients give them.

use super::family::Family;

/// The families of the process, which have no prefix; none where the system has no `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) fn families() -> Vec<Family> {
    Vec::new()
}

/// The families of the process, which have no prefix; none where `/proc` can't be read.
#[cfg(target_os = "linux")]
pub(super) fn families() -> Vec<Family> {
    read().unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn read() -> procfs::ProcResult<Vec<Family>> {
    use procfs::process::{LimitValue, Process};
    use prometheus_client::metrics::MetricType;
    use prometheus_client::registry::Unit;

    use super::family::{Labels, Value};

    let process = Process::myself()?;
    let stat = process.stat()?;
    let ticks = procfs::ticks_per_second() as f64;
    let started = procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks;
    let max_fds = match process.limits()?.max_open_files.soft_limit {
        LimitValue::Value(max) => max as f64,
        LimitValue::Unlimited => f64::INFINITY,
    };
    let family = |name, help, unit, value| {
        let kind = if matches!(value, Value::Amount(_)) { MetricType::Counter } else { MetricType::Gauge };
        Family { name, help, kind, unit, samples: vec![(Labels::new(), value)] }
    };
    let gauge = |name, help, unit, value| family(name, help, unit, Value::Gauge(value));
    let cpu = Value::Amount((stat.utime + stat.stime) as f64 / ticks);
    let resident = stat.rss as f64 * procfs::page_size() as f64;
    Ok(vec![
        family("process_cpu", "Processor time of the process, of user and system together", Some(Unit::Seconds), cpu),
        gauge("process_resident_memory", "Memory of the process that is resident", Some(Unit::Bytes), resident),
        gauge("process_virtual_memory", "Address space of the process", Some(Unit::Bytes), stat.vsize as f64),
        gauge("process_open_fds", "Open file descriptors", None, process.fd_count()? as f64),
        gauge("process_max_fds", "File descriptors that may be open", None, max_fds),
        gauge("process_threads", "Threads of the process", None, stat.num_threads as f64),
        gauge("process_start_time", "When the process began, since 1970", Some(Unit::Seconds), started),
    ])
}
