//! The harness itself: a server that is killed is gone, a paused one is silent, an emptied one has forgotten.

use std::time::Duration;

use redis::Commands;
use sandbar_tests::redis_server::RedisServer;

#[test]
fn server_can_be_killed_paused_and_emptied() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    server.connection()?.set::<_, _, ()>("key", "value")?;

    let mut before = server.connection()?;
    before.set_read_timeout(Some(Duration::from_millis(200)))?;
    server.pause()?;
    assert!(before.get::<_, Option<String>>("key").is_err_and(|error| error.is_timeout()), "a paused server answered");
    server.resume()?;
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
