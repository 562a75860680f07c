//! HTTP/2 streams that are reset before the content on them has ended (RFC 9113 section 8.1): whatever the code, what came is
//! no whole. Frame by frame, as no client or server does it by itself.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sandbar_base::memory_budget::Use;
use sandbar_tests::client::raw;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::wait::{eventually, settled};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

/// What a stream is reset with: NO_ERROR, INTERNAL_ERROR, CANCEL.
const CODES: [u8; 3] = [0, 2, 8];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field of HPACK's static table with another value, which is not indexed (RFC 7541 section 6.2.2).
fn field(index: u8, value: &str) -> Vec<u8> {
    let named = if index < 15 { vec![index] } else { vec![15, index - 15] };
    [&named[..], &[u8::try_from(value.len()).expect("a short value")], value.as_bytes()].concat()
}

/// An origin that answers `hel` and, by the path `/CODE`, resets the stream with that code.
async fn resetting() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(url)
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read_exact(&mut [0; 24]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    for code in CODES.iter().cycle() {
        let id = loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("a length")];
            stream.read_exact(&mut payload).await?;
            match head[3] {
                SETTINGS if head[4] == 0 => stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?,
                HEADERS => break u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                _ => {}
            }
        };
        // `:status: 200` and `cache-control`.
        let head = [vec![0x88], field(24, "max-age=60")].concat();
        let answer = [frame(HEADERS, END_HEADERS, id, &head), frame(DATA, 0, id, b"hel")].concat();
        stream.write_all(&answer).await?;
        stream.write_all(&frame(RST_STREAM, 0, id, &[0, 0, 0, *code])).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_whose_stream_is_reset_is_not_whole() -> anyhow::Result<()> {
    let origin = resetting().await?;
    let one = one_tenant("ORIGIN", "").replace("\"ORIGIN\"", &format!("{{ url = \"{origin}\", http = \"2\" }}"));
    let gateway = TestGateway::start(&one).await?;
    for number in 0..2 * CODES.len() {
        let request = b"GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n";
        let got = raw(gateway.address(), request).await.unwrap_or_default();
        let got = String::from_utf8_lossy(&got).into_owned();
        assert!(!got.ends_with("\r\n0\r\n\r\n"), "{number}: it is passed on as if it were whole: {got}");
        settled(gateway.cache()).await;
        assert!(!gateway.is_in_l1("shop.test", "/a"), "{number}: it is stored");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_stream_is_reset_reaches_the_origin_broken_off() -> anyhow::Result<()> {
    let (heard, url) = listening().await?;
    let gateway = TestGateway::start(&one_tenant(&url, "")).await?;
    for (number, code) in CODES.iter().enumerate() {
        let mut stream = TcpStream::connect(gateway.address()).await?;
        // `:method: POST`, `:scheme: http`, `:path: /` and `:authority`.
        let head = [vec![0x83, 0x86, 0x84], field(1, "shop.test")].concat();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &head)).await?;
        stream.write_all(&frame(DATA, 0, 1, b"hel")).await?;
        eventually("the origin hears of it", async || {
            heard.lock().get(number).is_some_and(|heard| heard.ends_with("hel\r\n"))
        })
        .await;
        stream.write_all(&frame(RST_STREAM, 0, 1, &[0, 0, 0, *code])).await?;
        eventually("it comes to an end", async || heard.lock()[number].ends_with("END")).await;
        let heard = heard.lock()[number].clone();
        assert!(heard.ends_with("hel\r\nEND"), "{code}: {heard}");
    }
    let tenant = gateway.tenant(TENANT);
    eventually("nothing is left", async || tenant.origin.stats().running == 0).await;
    assert_eq!(tenant.counters.values().origin_errors, 0, "it is the client's fault");
    Ok(())
}

/// Nor is what an operator begins to put into the cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_stream_is_reset_is_not_stored() -> anyhow::Result<()> {
    let gateway = TestGateway::start(&one_tenant("http://127.0.0.1:9", "")).await?;
    let admin = gateway.admin_address();
    let charged = |what: Use| gateway.cache().memory_budget().stats().uses[what as usize].bytes;
    for (path, end, is_stored) in
        [("/a", frame(RST_STREAM, 0, 1, &[0; 4]), false), ("/b", frame(DATA, 1, 1, b"lo"), true)]
    {
        // `:method`, `:scheme: http`, `:path`, `:authority` and `cache-control`.
        let target = format!("/tenants/{TENANT}/entries?url=http://shop.test{path}");
        let (method, path_field) = (field(2, "PUT"), field(4, &target));
        let head = [method, vec![0x86], path_field, field(1, &admin.to_string()), field(24, "max-age=60")].concat();
        let mut stream = TcpStream::connect(admin).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
        stream.write_all(&frame(HEADERS, END_HEADERS, 1, &head)).await?;
        stream.write_all(&frame(DATA, 0, 1, b"hel")).await?;
        eventually("it has begun", async || charged(Use::Uploads) > 0).await;
        stream.write_all(&end).await?;
        if is_stored {
            eventually("it is stored", async || gateway.is_in_l1("shop.test", path)).await;
        } else {
            eventually("it is over", async || charged(Use::Uploads) == 0).await;
            // What is stored goes on being paid for, as something else.
            assert_eq!(charged(Use::Entries), 0, "{path}: a part of it is kept");
            assert!(!gateway.is_in_l1("shop.test", path), "{path}: a part of it is stored");
        }
    }
    Ok(())
}

/// An origin that notes what comes on each connection that something comes on, and then `END`.
async fn listening() -> anyhow::Result<(Arc<Mutex<Vec<String>>>, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(note(stream, Arc::clone(&hears)));
        }
    });
    Ok((heard, url))
}

async fn note(mut stream: TcpStream, hears: Arc<Mutex<Vec<String>>>) {
    let (mut bytes, mut place) = ([0; 4096], None);
    let patience = Duration::from_secs(20);
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(patience, stream.read(&mut bytes)).await {
        let mut all = hears.lock();
        let place = *place.get_or_insert_with(|| {
            all.push(String::new());
            all.len() - 1
        });
        all[place].push_str(&String::from_utf8_lossy(&bytes[..read]));
        if all[place].ends_with("\r\n0\r\n\r\n") {
            break;
        }
    }
    if let Some(place) = place {
        hears.lock()[place].push_str("END");
    }
}
