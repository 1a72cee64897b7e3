//! What goes wrong: damaged archives, places that are taken, copies that are killed.

use std::io::Write as _;
use std::process::Stdio;

use super::process::{Ground, Kind, Served, binary, done, refused, run};
use super::{audit, counted, use_it};

/// Makes an archive of a server that was used.
async fn archive(ground: &Ground) -> (String, Vec<u8>) {
    let database = ground.place(Kind::Sqlite).await;
    let server: Served = ground.serve(&database).await;
    use_it(&server.channel).await;
    server.stop().await;
    let archive = ground.path("archive");
    done(&["backup", "--database", &database, &archive]);
    let bytes = std::fs::read(&archive).unwrap();
    (archive, bytes)
}

#[test]
fn a_damaged_archive_restores_nothing_and_the_whole_one_does() {
    run(async {
        let ground = Ground::new();
        let (whole, bytes) = archive(&ground).await;
        let damaged = ground.path("damaged");
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let place = ground.place(kind).await;
            let mut flipped = bytes.clone();
            flipped[bytes.len() / 2] ^= 4;
            for contents in [
                &bytes[..bytes.len() / 2],
                &bytes[..bytes.len() - 1],
                &flipped,
            ] {
                std::fs::write(&damaged, contents).unwrap();
                let why = refused(&["restore", "--database", &place, &damaged]);
                assert!(why.contains("the archive is damaged"), "{why}");
            }
            done(&["restore", "--database", &place, &whole]);
            let why = refused(&["restore", "--database", &place, &whole]);
            assert!(why.contains("already"), "{why}");
            let server = ground.serve(&place).await;
            assert_eq!(counted(&server.channel).await, 39);
            server.stop().await;
        }
    });
}

#[test]
fn a_killed_restore_keeps_servers_away_until_it_is_run_again() {
    run(async {
        let ground = Ground::new();
        let (whole, bytes) = archive(&ground).await;
        for kind in [Kind::Sqlite, Kind::Postgres] {
            let place = ground.place(kind).await;
            let mut restore = binary()
                .args(["restore", "--database", &place, "-"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = restore.stdin.take().unwrap();
            input.write_all(&bytes[..bytes.len() / 2]).unwrap();
            input.flush().unwrap();
            wait_until_begun(&place, kind).await;
            restore.kill().unwrap();
            restore.wait().unwrap();
            let serve = ["serve", "--database", &place, "--grpc-addr", "127.0.0.1:0"];
            let why = refused(&[&serve[..], &["--http-addr", "127.0.0.1:0"]].concat());
            assert!(why.contains("run the same `bursar restore`"), "{why}");
            done(&["restore", "--database", &place, &whole]);
            let server = ground.serve(&place).await;
            audit(&server.channel).await;
            server.stop().await;
        }
    });
}

/// Waits until a restore has left its mark.
async fn wait_until_begun(place: &str, kind: Kind) {
    for _ in 0..600 {
        let has_begun = match kind {
            Kind::Sqlite => {
                let path = place.trim_start_matches("sqlite:");
                std::path::Path::new(&format!("{path}.restoring")).exists()
            }
            Kind::Postgres => marked(place).await,
        };
        if has_begun {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the restore does not begin");
}

async fn marked(url: &str) -> bool {
    use sqlx::Connection as _;
    let mut conn = sqlx::PgConnection::connect(url).await.unwrap();
    // While the restore holds the table, it has begun.
    let held: Result<String, _> = async {
        sqlx::raw_sql("SET lock_timeout = 100")
            .execute(&mut conn)
            .await?;
        sqlx::query_scalar("SELECT incarnation FROM store")
            .fetch_one(&mut conn)
            .await
    }
    .await;
    match held {
        Ok(incarnation) => incarnation == "restoring",
        Err(sqlx::Error::Database(error)) => error.code().as_deref() == Some("55P03"),
        Err(_) => false,
    }
}

#[test]
fn what_cannot_be_copied_is_named() {
    run(async {
        let ground = Ground::new();
        let (archive, _) = archive(&ground).await;
        let nowhere = ground.path("nowhere.db");
        let why = refused(&["backup", "--database", &nowhere, &ground.path("out")]);
        assert!(why.contains("there is no database"), "{why}");
        let why = refused(&["backup", "--database", "memory:", &ground.path("out")]);
        assert!(why.contains("nothing to copy"), "{why}");
        let why = refused(&["backup", "--database", &nowhere, &archive]);
        assert!(why.contains("there is no database"), "{why}");
        let why = refused(&[
            "restore",
            "--database",
            &nowhere,
            &ground.path("catalog.toml"),
        ]);
        assert!(why.contains("is no archive of bursar"), "{why}");
        let away = "postgres://bursar@127.0.0.1:1/none";
        let why = refused(&["move", "--from", away, "--to", &nowhere]);
        assert!(why.contains("cannot be reached"), "{why}");
        assert!(!std::path::Path::new(&nowhere).exists());
    });
}
