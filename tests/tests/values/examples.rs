//! The examples with a database, as whoever tries them sees them.

#[path = "../../../host/cache/examples/cache_aside.rs"]
#[allow(dead_code, reason = "its `main` is for whoever tries it")]
mod cache_aside;
#[path = "../../../host/cache/examples/postgres.rs"]
#[allow(dead_code, reason = "its `main` is for whoever tries it")]
mod postgres;
#[path = "../../../host/cache/examples/read_through.rs"]
#[allow(dead_code, reason = "its `main` is for whoever tries it")]
mod read_through;
#[path = "../../../host/cache/examples/write_through.rs"]
#[allow(dead_code, reason = "its `main` is for whoever tries it")]
mod write_through;

#[tokio::test]
async fn cache_aside_puts_back_nothing_that_a_writer_has_changed() -> anyhow::Result<()> {
    let expected = [
        "495 from the database",
        "495 from the cache",
        "525 from the database",
        "not put back",
        "550 from the database",
        "none, says the database",
        "none, says the cache",
    ];
    assert_eq!(cache_aside::run().await?, expected);
    Ok(())
}

#[tokio::test]
async fn read_through_asks_once_for_all_and_once_for_many() -> anyhow::Result<()> {
    let expected =
        ["10 callers, 1 query", "coffee, salt, tea known, 2 queries", "3 queries after a department was purged"];
    assert_eq!(read_through::run().await?, expected);
    Ok(())
}

#[tokio::test]
async fn write_through_caches_no_change_that_overlaps_another() -> anyhow::Result<()> {
    let seen = write_through::run().await?;
    assert_eq!(seen[0], "Ada from the cache");
    assert_eq!(seen[2], "Countess Ada: Overtaken");
    assert_eq!(seen[3..], ["Countess Ada from the database", "Countess Ada from the cache"]);
    Ok(())
}

#[tokio::test]
async fn postgres_is_the_source_of_truth_three_ways() -> anyhow::Result<()> {
    let Some(server) = sandbar_tests::postgres_server::PostgresServer::start()? else { return Ok(()) };
    let expected = [
        "cache-aside: 495 from the database",
        "cache-aside: 495 from the cache",
        "read-through: Tea at 495, version 1, 1 of 2 known",
        "write-through: Done(Some(2)), cached: true",
        "write-through: Conflict, so it is 550 as somebody else has written",
    ];
    assert_eq!(postgres::run(&server.url()).await?, expected);
    Ok(())
}
