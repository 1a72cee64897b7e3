//! One of several servers on a database, with a link of its own to it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::cluster::Cluster;
use super::proxy::Proxy;
use crate::process::server::{Server, Setup};

/// How far checks may be behind other replicas, in milliseconds. Small, so that tests wait little.
pub const REFRESH_MS: u64 = 100;
/// How long a statement may take, and a transaction stand idle.
pub const DATABASE_TIMEOUT_MS: u64 = 2_000;
/// How long a process is taken to be alive after it last said so.
pub const LEASE_MS: u64 = 20 * REFRESH_MS;

/// A server and its link. It is killed when this is dropped.
pub struct Replica {
    pub setup: Setup,
    pub link: Proxy,
    server: Option<Server>,
    stands_still: bool,
}

impl Replica {
    /// A server that is not started yet, on a database of the cluster.
    pub fn new(cluster: &Cluster, database: &str, binary: &Path, catalog: &Path) -> Self {
        let link = Proxy::to(cluster.port());
        let setup = Setup::new(binary, link.url(database), catalog)
            .set("BURSAR_REFRESH_MS", REFRESH_MS)
            .set("BURSAR_DATABASE_TIMEOUT_MS", DATABASE_TIMEOUT_MS);
        Self {
            setup,
            link,
            server: None,
            stands_still: false,
        }
    }

    /// Starts it and waits until it serves. `failpoint` is where it stops for good.
    pub fn start(&mut self, failpoint: Option<(&str, u64)>) -> io::Result<&Server> {
        let server = Server::start(&self.setup, failpoint)?;
        Ok(self.server.insert(server))
    }

    /// Returns the process, when there is one.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// Returns where it serves, when there is a process.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.server().map(|server| server.addr)
    }

    /// An error when it has ended by itself.
    pub fn check(&mut self) -> io::Result<()> {
        self.server.as_mut().map_or(Ok(()), Server::is_alive)
    }

    /// Kills it, if it is there.
    pub fn kill(&mut self) -> io::Result<()> {
        self.stands_still = false;
        self.server.take().map_or(Ok(()), Server::kill)
    }

    /// Asks it to stop, if it is there, and waits until it has.
    pub fn stop(&mut self) -> io::Result<()> {
        self.resume()?;
        self.server.take().map_or(Ok(()), Server::stop)
    }

    /// Stops it where it is.
    pub fn pause(&mut self) -> io::Result<()> {
        self.stands_still = self.server.is_some();
        self.server.as_ref().map_or(Ok(()), Server::pause)
    }

    /// Lets it go on, if it stands still.
    pub fn resume(&mut self) -> io::Result<()> {
        let server = self.server.as_ref().filter(|_| self.stands_still);
        self.stands_still = false;
        server.map_or(Ok(()), Server::resume)
    }
}
