//! The link between a server and its database fails as it is told, and not otherwise.

use std::sync::OnceLock;
use std::time::Duration;

use bursar::clock::Stopwatch;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::time::timeout;

use crate::harness::run;
use crate::postgres::cluster::Cluster;
use crate::postgres::proxy::{AtCommit, Link, Proxy};

/// Long enough for what is due to happen on this machine.
const WAIT: Duration = Duration::from_secs(20);
/// Long enough to tell that nothing happens.
const MOMENT: Duration = Duration::from_millis(300);

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(Cluster::start)
}

/// A table of its own, a connection past the link, the link, and a connection over it.
async fn scene(table: &str) -> (PgConnection, Proxy, PgConnection) {
    let create = format!("CREATE TABLE {table} (one bigint PRIMARY KEY)");
    cluster().execute(&create).await;
    let direct = connect(&cluster().url("postgres")).await;
    let proxy = Proxy::to(cluster().port());
    let linked = connect(&proxy.url("postgres")).await;
    (direct, proxy, linked)
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn insert(conn: &mut PgConnection, table: &str, one: i64) -> sqlx::Result<()> {
    let mut transaction = conn.begin().await?;
    let insert = format!("INSERT INTO {table} VALUES ({one})");
    sqlx::query(AssertSqlSafe(insert))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

async fn count(conn: &mut PgConnection, table: &str) -> i64 {
    let count = format!("SELECT count(*) FROM {table}");
    let count = sqlx::query_scalar(AssertSqlSafe(count));
    count.fetch_one(conn).await.unwrap()
}

/// Waits until a table holds so many rows.
async fn until(conn: &mut PgConnection, table: &str, rows: i64) {
    let watch = Stopwatch::start();
    while count(conn, table).await != rows {
        assert!(watch.elapsed() < WAIT, "{table} never holds {rows} rows");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_link_carries_delays_cuts_and_refuses() {
    run(async {
        let (mut direct, proxy, mut linked) = scene("carried").await;
        insert(&mut linked, "carried", 1).await.unwrap();
        assert_eq!(count(&mut linked, "carried").await, 1);

        let watch = Stopwatch::start();
        proxy.set(Link::Slow(Duration::from_millis(50)));
        assert_eq!(count(&mut linked, "carried").await, 1);
        assert!(watch.elapsed() >= Duration::from_millis(100));
        proxy.set(Link::Open);

        proxy.cut();
        let broken = insert(&mut linked, "carried", 2).await.unwrap_err();
        assert!(matches!(broken, sqlx::Error::Io(_)), "{broken}");
        proxy.refuse(true);
        PgConnection::connect(&proxy.url("postgres"))
            .await
            .unwrap_err();
        proxy.refuse(false);
        let mut linked = connect(&proxy.url("postgres")).await;
        insert(&mut linked, "carried", 3).await.unwrap();
        assert_eq!(count(&mut direct, "carried").await, 2);
    });
}

#[test]
fn a_silent_link_answers_nothing_and_delivers_late() {
    run(async {
        let (mut direct, proxy, mut linked) = scene("silent").await;
        // The answer is lost, the COMMIT is not.
        proxy.set(Link::Silent {
            to: false,
            from: true,
        });
        let waited = timeout(MOMENT, count(&mut linked, "silent")).await;
        assert!(waited.is_err(), "an answer arrives");
        drop(linked);
        proxy.set(Link::Open);

        let mut linked = connect(&proxy.url("postgres")).await;
        let mut transaction = linked.begin().await.unwrap();
        sqlx::query("INSERT INTO silent VALUES (1)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        proxy.set(Link::Silent {
            to: true,
            from: true,
        });
        let waited = timeout(MOMENT, transaction.commit()).await;
        assert!(waited.is_err(), "an answer arrives");
        drop(linked);
        tokio::time::sleep(MOMENT).await;
        assert_eq!(count(&mut direct, "silent").await, 0);
        proxy.set(Link::Open);
        until(&mut direct, "silent", 1).await;
    });
}

#[test]
fn a_link_is_cut_before_a_commit_and_after_it() {
    run(async {
        let (mut direct, proxy, mut linked) = scene("committed").await;
        proxy.cut_at_commit(AtCommit::Before, 2);
        insert(&mut linked, "committed", 1).await.unwrap();
        insert(&mut linked, "committed", 2).await.unwrap_err();
        tokio::time::sleep(MOMENT).await;
        assert_eq!(count(&mut direct, "committed").await, 1, "it is cut before");

        let mut linked = connect(&proxy.url("postgres")).await;
        proxy.cut_at_commit(AtCommit::After, 1);
        insert(&mut linked, "committed", 3).await.unwrap_err();
        until(&mut direct, "committed", 2).await;

        let mut linked = connect(&proxy.url("postgres")).await;
        proxy.cut_at_commit(AtCommit::Late(MOMENT), 1);
        insert(&mut linked, "committed", 4).await.unwrap_err();
        assert_eq!(count(&mut direct, "committed").await, 2, "it is late");
        until(&mut direct, "committed", 3).await;
        assert_eq!(proxy.cuts_at_commit(), 3);

        let mut linked = connect(&proxy.url("postgres")).await;
        insert(&mut linked, "committed", 5).await.unwrap();
    });
}
