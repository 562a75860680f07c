//! A gateway whose cgroup is too small for its traffic: it is not killed, and every request is answered.

#[path = "memory_limit/cgroup.rs"]
mod cgroup;
#[path = "memory_limit/secured.rs"]
mod secured;
#[path = "memory_limit/stalled.rs"]
mod stalled;
#[path = "memory_limit/traffic.rs"]
mod traffic;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use cgroup::Cgroup;
use tempfile::TempDir;
use traffic::{Traffic, get, origin};

const MIB: u64 = 1 << 20;

/// A gateway as a process; killed where the test fails.
struct Gateway {
    process: Child,
    clients: String,
    admin: String,
    _data: TempDir,
}

impl Gateway {
    /// Starts a gateway, in a cgroup where one is given; `settings` go before the tenant's table, `tenant` into it.
    fn start(cgroup: Option<&Cgroup>, settings: &str, origin: &str, tenant: &str) -> Self {
        let data = TempDir::new().expect("a directory");
        let file = data.path().join("sandbar.toml");
        let text = format!(
            "data_dir = {:?}\n[gateway]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[l2]\nkind = \
             \"none\"\n{settings}\n[[tenant]]\norigin = \"http://{origin}\"\n{tenant}\n",
            data.path().join("data")
        );
        std::fs::write(&file, text).expect("written");
        let program = env!("CARGO_BIN_EXE_sandbar");
        let mut command = match cgroup {
            None => Command::new(program),
            // The shell enters the cgroup and becomes the gateway.
            Some(cgroup) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("echo $$ > {} && exec \"$0\" \"$@\"", cgroup.procs().display()), program]);
                shell
            }
        };
        command.args(["serve", "--config"]).arg(&file).stderr(Stdio::piped());
        let mut process = command.spawn().expect("it runs");
        let (clients, admin) = addresses(BufReader::new(process.stderr.take().expect("standard error")));
        Self { process, clients, admin, _data: data }
    }

    fn metrics(&self) -> String {
        String::from_utf8(get(&self.admin, "/metrics").expect("metrics")).expect("text")
    }

    fn is_running(&mut self) -> bool {
        self.process.try_wait().expect("its state").is_none()
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its resident set");
        line.split_ascii_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a size") * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The addresses for clients and operators, as the gateway says them; the rest of its output is read and dropped.
fn addresses(mut said: impl BufRead + Send + 'static) -> (String, String) {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        while said.read_line(&mut text).is_ok_and(|bytes| bytes > 0) {
            if text.contains("Dashboard") {
                let _ = tell.send(std::mem::take(&mut text));
            }
        }
        let _ = tell.send(text);
        let _ = std::io::copy(&mut said, &mut std::io::sink());
    });
    let text = told.recv_timeout(Duration::from_secs(60)).expect("it starts");
    let after = |mark: &str| {
        let rest = text.split_once(mark).unwrap_or_else(|| panic!("it said: {text}")).1;
        rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next().expect("an address").to_owned()
    };
    let clients = ["Listening at http://", "Listening at https://"].into_iter().find(|mark| text.contains(mark));
    let address = |mark: &str| after(mark).trim_end_matches('.').to_owned();
    (address(clients.expect("it listens")), address("Dashboard and admin API at http://"))
}

/// The value of a metric, all its labels summed up.
fn metric(text: &str, name: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(name) && line[name.len()..].starts_with([' ', '{']));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_gateway_whose_cgroup_is_too_small_is_not_killed_and_answers_everybody() {
    let Some(cgroup) = Cgroup::limited(256 * MIB) else {
        eprintln!("skipped: no memory cgroup can be made here");
        return;
    };
    let origin = origin();
    let mut gateway = Gateway::start(Some(&cgroup), "", &origin, "l1 = \"100MiB\"");
    // 900 MiB of distinct responses, and clients who take their time over 48 MiB of them.
    let traffic = Traffic { requests: 3_600, bytes: 256 << 10, threads: 8, slow: 48, slow_bytes: 1 << 20 };
    let failed = traffic.run(&gateway.clients);
    assert!(gateway.is_running(), "the kernel killed it");
    assert_eq!(failed, Vec::<String>::new());
    let metrics = gateway.metrics();
    let (used, total) = (metric(&metrics, "sandbar_memory_used_bytes"), metric(&metrics, "sandbar_memory_total_bytes"));
    assert_eq!(total, (128 * MIB) as f64, "half of the limit");
    assert!(used <= total, "{used} of {total}");
    assert_eq!(cgroup.kills(), 0);
    eprintln!("at most {} MiB of 256 MiB were used", cgroup.used_most() / MIB);

    // Another process in the cgroup takes most of what is left.
    let left = || (256 * MIB).saturating_sub(cgroup.working_set() + 20 * MIB);
    let mut hogs = vec![cgroup.hog(left())];
    let shrunk = (1..=100).any(|look| {
        // What the gateway gives back to the system is room again, and is taken too; by then the hog before is as large as it gets.
        if look % 25 == 0 && left() > MIB {
            hogs.push(cgroup.hog(left()));
        }
        std::thread::sleep(Duration::from_millis(200));
        metric(&gateway.metrics(), "sandbar_memory_l1_kept_ratios") < 1.0
    });
    assert!(shrunk, "L1 keeps its size: {}", gateway.metrics());
    let failed = Traffic { requests: 400, ..traffic }.run(&gateway.clients);
    assert!(gateway.is_running(), "the kernel killed it");
    assert_eq!(failed, Vec::<String>::new());
    drop(hogs);
}

#[test]
#[ignore = "takes a minute: how far the resident set exceeds the bound"]
fn the_resident_set_stays_near_the_bound_under_load() {
    let origin = origin();
    let settings = "[memory]\ntotal = \"256MiB\"\n[l1]\ntotal = \"200MiB\"";
    let mut gateway = Gateway::start(None, settings, &origin, "l1 = \"200MiB\"");
    let idle = gateway.resident_bytes();
    let mut most = 0;
    for bytes in [1 << 10, 16 << 10, 300 << 10, 2 << 20] {
        let requests = (2 << 30) / bytes;
        let traffic = Traffic { requests: requests.min(20_000), bytes, threads: 8, slow: 64, slow_bytes: 1 << 20 };
        let clients = gateway.clients.clone();
        let running = std::thread::spawn(move || traffic.run(&clients));
        while !running.is_finished() {
            std::thread::sleep(Duration::from_millis(100));
            most = gateway.resident_bytes().max(most);
        }
        assert_eq!(running.join().expect("no panic"), Vec::<String>::new());
        let used = metric(&gateway.metrics(), "sandbar_memory_used_bytes") as u64;
        eprintln!(
            "bodies of {bytes} bytes: resident now {} MiB, most {} MiB, charged {} MiB, idle {} MiB",
            gateway.resident_bytes() / MIB,
            most / MIB,
            used / MIB,
            idle / MIB
        );
        assert!(gateway.is_running());
    }
    assert!(most < idle + 256 * MIB * 3 / 2, "{} MiB, {} MiB when idle", most / MIB, idle / MIB);
}

/// Settings with this bound of the account, and those of a tenant with this share of it.
fn bounded(total_mib: u64, l1_mib: u64) -> (String, String) {
    let settings = format!("[memory]\ntotal = \"{total_mib}MiB\"\n[l1]\ntotal = \"{l1_mib}MiB\"");
    (settings, format!("l1 = \"{l1_mib}MiB\"\n[tenant.protect.breaker]\nenabled = false"))
}

/// How much freed memory the allocator may keep for some seconds, beyond a tenth of a total that is too small for real
/// use.
const ALLOCATOR_KEEPS_MIB: u64 = 16;

/// Watches a gateway until it has not grown for a second. Its account must never exceed the bound, and its resident set
/// never the sum of what it was when idle, the bound, and a tenth of that (with a small bound also what the allocator
/// keeps).
fn stays_within(gateway: &mut Gateway, idle: u64, total_mib: u64) -> u64 {
    let (mut most, mut same) = (0, 0);
    for _ in 0..150 {
        std::thread::sleep(Duration::from_millis(200));
        assert!(gateway.is_running(), "the kernel killed it");
        let metrics = gateway.metrics();
        let (used, total) =
            (metric(&metrics, "sandbar_memory_used_bytes"), metric(&metrics, "sandbar_memory_total_bytes"));
        assert!(used <= total, "{used} of {total}");
        let resident = gateway.resident_bytes();
        same = if resident > most { 0 } else { same + 1 };
        most = most.max(resident);
        if same == 5 {
            break;
        }
    }
    let kept_mib = if total_mib < 96 { ALLOCATOR_KEEPS_MIB } else { 0 };
    let bound = idle + total_mib * MIB * 11 / 10 + kept_mib * MIB;
    eprintln!("idle {} MiB, most {} MiB, bound {} MiB", idle / MIB, most / MIB, bound / MIB);
    assert!(most <= bound, "{} MiB are resident, {} MiB when idle: {}", most / MIB, idle / MIB, gateway.metrics());
    most
}

fn refused(gateway: &Gateway, what: &str) -> f64 {
    let metrics = gateway.metrics();
    let name = format!("sandbar_memory_refused_total{{use=\"{what}\"}}");
    let line = metrics.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{name}: {metrics}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn streams_whose_clients_do_not_read_are_charged_and_refused() {
    let origin = origin();
    let (settings, tenant) = bounded(48, 16);
    let mut gateway = Gateway::start(None, &settings, &origin, &tenant);
    let target = "/same/1000000";
    get(&gateway.clients, target).expect("it is stored");
    let idle = gateway.resident_bytes();
    let asked = || std::iter::repeat_with(|| target.to_owned()).take(150);
    let stalled: Vec<_> = (0..50).map(|_| stalled::streams(&gateway.clients, asked())).collect();
    stays_within(&mut gateway, idle, 48);
    assert!(refused(&gateway, "streams") > 0.0, "7,500 of them fit into 48 MiB");
    drop(stalled);
    let served = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        get(&gateway.clients, target).is_ok_and(|body| body.len() == 1_000_000)
    });
    assert!(served, "it does not recover");
}

#[test]
fn readers_who_stall_on_what_is_not_stored_are_charged_and_refused() {
    let origin = origin();
    let (settings, tenant) = bounded(48, 8);
    let mut gateway = Gateway::start(None, &settings, &origin, &tenant);
    get(&gateway.clients, "/same/1000").expect("it is stored");
    let idle = gateway.resident_bytes();
    let targets = (0..400).map(|n| format!("/{}/{n}/8000000", if n % 2 == 0 { "no-store" } else { "stored" }));
    let mut stalled: Vec<_> = targets.map(|target| stalled::reader(&gateway.clients, &target)).collect();
    stays_within(&mut gateway, idle, 48);
    let refusals = stalled.iter_mut().map(stalled::status).filter(|status| status == "503").count();
    assert!(refusals > 0 && refused(&gateway, "exchanges") > 0.0, "all of them fit into 48 MiB");
    assert!(metric(&gateway.metrics(), "sandbar_no_room_total") > 0.0, "{}", gateway.metrics());
}

#[test]
fn what_operators_send_is_charged_and_refused() {
    let origin = origin();
    let (settings, tenant) = bounded(64, 8);
    let mut gateway = Gateway::start(None, &settings, &origin, &tenant);
    let idle = gateway.resident_bytes();
    let mut sent: Vec<_> = (0..8).map(|number| stalled::upload(&gateway.admin, number, 15 << 20)).collect();
    stays_within(&mut gateway, idle, 64);
    let answers: Vec<_> = sent.iter_mut().map(stalled::status).collect();
    assert!(answers.iter().filter(|status| *status == "503").count() >= 4, "{answers:?}");
    assert!(refused(&gateway, "uploads") >= 4.0);
    drop(sent);
}

/// Measures the constants of `room.rs` and of the library's `exchange.rs`. Run alone, with `--nocapture`.
#[test]
#[ignore = "a measurement: what a connection, a stream and an exchange take"]
fn what_one_of_each_kind_takes() {
    let origin = origin();
    let measure = |name: &str, count: u64, streams: usize, target: &dyn Fn(usize, usize) -> String, h2: bool| {
        let (settings, tenant) = bounded(4000, 64);
        let gateway = Gateway::start(None, &settings, &origin, &tenant);
        get(&gateway.clients, "/same/1000000").expect("it is stored");
        let idle = gateway.resident_bytes();
        let asked = |n: usize| (0..streams).map(move |stream| (n, stream));
        let open: Vec<_> = (0..count as usize)
            .map(|n| match h2 {
                true => stalled::streams(&gateway.clients, asked(n).map(|(n, stream)| target(n, stream))),
                false => stalled::reader(&gateway.clients, &target(n, 0)),
            })
            .collect();
        std::thread::sleep(Duration::from_secs(4));
        let grown = gateway.resident_bytes() - idle;
        let each = grown / (count * streams.max(1) as u64);
        eprintln!("{name}: {each} bytes each, {} a connection", grown / count);
        for use_ in ["connections", "streams", "exchanges", "windows", "fills", "entries"] {
            let name = format!("sandbar_memory_used_by_bytes{{use=\"{use_}\"}}");
            let metrics = gateway.metrics();
            eprintln!("  {}", metrics.lines().find(|line| line.starts_with(&name)).unwrap_or_default());
        }
        drop(open);
    };
    let same = |_, _| "/same/1000000".to_owned();
    measure("HTTP/1.1 connection, a small hit", 2000, 0, &|_, _| "/same/1000".to_owned(), false);
    measure("HTTP/1.1 connection, a hit that stalls", 2000, 0, &same, false);
    measure("HTTP/2 connection without a stream", 1000, 0, &same, true);
    measure("HTTP/2 connection with a stalled hit", 1000, 1, &same, true);
    measure("HTTP/2 stalled hit", 100, 150, &same, true);
    measure("HTTP/1.1 stalled response that is not stored", 500, 0, &|n, _| format!("/no-store/{n}/8000000"), false);
    measure("HTTP/2 stalled response that is not stored", 20, 50, &|n, s| format!("/no-store/{n}-{s}/1000000"), true);
}

/// The same for TLS: `TLS_BYTES` of `room.rs`. Run alone, with `--nocapture`.
#[test]
#[ignore = "a measurement: what TLS adds to a connection"]
fn what_tls_takes() {
    let origin = origin();
    let dir = TempDir::new().expect("a directory");
    let (tls, client) = secured::settings(dir.path());
    let measure = |name: &str, count: u64, open: &dyn Fn(&str) -> Box<dyn std::any::Any>| {
        let (settings, tenant) = bounded(4000, 64);
        let settings = format!("{settings}\n[limits]\nhead_deadline = \"1m\"\n{tls}");
        let gateway = Gateway::start(None, &settings, &origin, &tenant);
        drop(secured::reader(&gateway.clients, &client, "/same/1000000"));
        std::thread::sleep(Duration::from_secs(1));
        let idle = gateway.resident_bytes();
        let open: Vec<_> = (0..count).map(|_| open(&gateway.clients)).collect();
        std::thread::sleep(Duration::from_secs(4));
        eprintln!("{name}: {} bytes each", (gateway.resident_bytes() - idle) / count);
        drop(open);
    };
    measure("silent", 2000, &|address| Box::new(stalled::connect(address)));
    measure("a first message that lacks its last byte", 1000, &|address| Box::new(secured::endless_hello(address)));
    measure("a small hit", 1000, &|address| Box::new(secured::reader(address, &client, "/same/1000")));
    measure("a hit that stalls", 1000, &|address| Box::new(secured::reader(address, &client, "/same/1000000")));
}

#[test]
fn handshakes_that_stall_are_charged() {
    let origin = origin();
    let dir = TempDir::new().expect("a directory");
    let (tls, _client) = secured::settings(dir.path());
    let (settings, tenant) = bounded(48, 8);
    let mut gateway = Gateway::start(None, &format!("{settings}\n{tls}"), &origin, &tenant);
    let idle = gateway.resident_bytes();
    let stalled: Vec<_> = (0..600).map(|_| secured::endless_hello(&gateway.clients)).collect();
    stays_within(&mut gateway, idle, 48);
    drop(stalled);
}

/// The whole matrix: 15 minutes.
#[test]
#[ignore = "takes long, and 20,000 streams"]
fn the_resident_set_is_bounded_whatever_stalls() {
    let origin = origin();
    for (total_mib, l1_mib) in [(96, 48), (192, 64), (768, 256)] {
        for streams in [0_usize, 1_000, 20_000] {
            for kind in ["hit", "stored", "no-store"] {
                let (settings, tenant) = bounded(total_mib, l1_mib);
                let mut gateway = Gateway::start(None, &settings, &origin, &tenant);
                let idle = gateway.resident_bytes();
                get(&gateway.clients, "/same/15000000").expect("it is stored");
                let target = |n: usize, stream: usize| match kind {
                    "hit" => "/same/15000000".to_owned(),
                    kind => format!("/{kind}/{n}-{stream}/1000000"),
                };
                let connections = streams.div_ceil(200);
                let stalled: Vec<_> = (0..connections)
                    .map(|n| stalled::streams(&gateway.clients, (0..200).map(move |stream| target(n, stream))))
                    .collect();
                eprint!("{total_mib} MiB, {streams} streams, {kind}: ");
                stays_within(&mut gateway, idle, total_mib);
                drop(stalled);
            }
        }
    }
}
