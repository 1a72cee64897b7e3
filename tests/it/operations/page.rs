//! What docs/operations.md shows is run, beside a server that works on the same database.

use std::path::Path;
use std::process::Command;

use super::process::{Ground, run};
use super::use_it;
use crate::postgres::cluster::free_port;

/// The blocks of shell after the mark `<!-- run -->`.
fn blocks() -> Vec<String> {
    let page = include_str!("../../../docs/operations.md");
    let marked = page.split("<!-- run -->\n```sh\n").skip(1);
    marked
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_blocks_of_the_operations_page_do_what_they_say() {
    run(async {
        let ground = Ground::new();
        let database = format!("sqlite:{}", ground.path("bursar.db"));
        let server = ground.serve(&database).await;
        use_it(&server.channel).await;
        let folder = Path::new(env!("CARGO_BIN_EXE_bursar")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let path = format!("{}:{}", folder.display(), path.display());
        let blocks = blocks();
        assert_eq!(blocks.len(), 5);
        for block in &blocks {
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", block])
                .current_dir(ground.path("."))
                .env("PATH", &path)
                .env("BURSAR_GRPC_ADDR", format!("127.0.0.1:{}", free_port()))
                .env("BURSAR_HTTP_ADDR", format!("127.0.0.1:{}", free_port()))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{block}\n{printed}\n{said}");
        }
        for (file, lines) in [("usage.csv", 4), ("events.csv", 42), ("customers.csv", 2)] {
            let text = std::fs::read_to_string(ground.path(file)).unwrap();
            assert_eq!(text.lines().count(), lines, "{file}:\n{text}");
        }
        for copy in ["restored.db", "moved.db"] {
            let restored = ground.serve(&ground.path(copy)).await;
            assert_eq!(super::counted(&restored.channel).await, 39, "{copy}");
            restored.stop().await;
        }
        server.stop().await;
    });
}
