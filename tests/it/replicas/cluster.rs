//! The cluster that the other tests stand on does what they count on.

use std::net::TcpStream;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::timeout;

use crate::harness::run;
use crate::postgres::cluster::Cluster;

async fn count(conn: &mut PgConnection) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM kept");
    count.fetch_one(conn).await.unwrap()
}

#[test]
fn a_cluster_stops_starts_again_pauses_and_is_gone() {
    run(async {
        let cluster = Cluster::start();
        let url = cluster.url("postgres");
        let mut conn = PgConnection::connect(&url).await.unwrap();
        let settings =
            ["fsync", "full_page_writes", "synchronous_commit"].map(|name| format!("SHOW {name}"));
        for setting in settings {
            let value: String = sqlx::query_scalar(sqlx::AssertSqlSafe(setting.clone()))
                .fetch_one(&mut conn)
                .await
                .unwrap();
            assert_eq!(value, "on", "{setting}");
        }
        cluster
            .execute("CREATE TABLE kept AS SELECT 1 AS one")
            .await;
        cluster.stop_at_once();
        sqlx::query("SELECT 1")
            .execute(&mut conn)
            .await
            .unwrap_err();
        PgConnection::connect(&url).await.unwrap_err();
        cluster.start_again();
        let mut conn = PgConnection::connect(&url).await.unwrap();
        assert_eq!(count(&mut conn).await, 1);

        cluster.pause();
        let mut asked = Box::pin(count(&mut conn));
        let waited = timeout(Duration::from_millis(300), &mut asked).await;
        assert!(waited.is_err(), "a paused cluster answers");
        cluster.resume();
        assert_eq!(asked.await, 1, "the question waited for its answer");

        // Also a paused one ends.
        cluster.pause();
        let port = cluster.port();
        drop(cluster);
        TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    });
}
