//! The harness itself: a server that is killed is gone, a paused one is silent, an emptied one has forgotten.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use redis::Commands;
use sandbar_tests::redis_server::RedisServer;

#[test]
fn server_can_be_killed_paused_and_emptied() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    server.connection()?.set::<_, _, ()>("key", "value")?;

    let mut before = TcpStream::connect(server.addr())?;
    server.pause()?;
    // The kernel says that nothing of it runs: what is not there now will not come.
    before.write_all(b"GET key\r\n")?;
    before.set_nonblocking(true)?;
    let early = before.read(&mut [0]).expect_err("a paused server answered");
    assert_eq!(early.kind(), ErrorKind::WouldBlock, "{early}");
    server.resume()?;
    before.set_nonblocking(false)?;
    let mut answer = [0; 11];
    before.read_exact(&mut answer)?;
    assert_eq!(&answer, b"$5\r\nvalue\r\n");
    assert_eq!(server.connection()?.get::<_, Option<String>>("key")?.as_deref(), Some("value"));

    server.kill();
    assert!(server.connection().is_err(), "a dead server answered");
    server.restart_empty()?;
    assert_eq!(server.connection()?.get::<_, Option<String>>("key")?, None);
    Ok(())
}

#[test]
fn server_listens_on_a_unix_socket() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let mut connection = redis::Client::open(server.unix_url())?.get_connection()?;
    assert_eq!(redis::cmd("PING").query::<String>(&mut connection)?, "PONG");
    Ok(())
}
