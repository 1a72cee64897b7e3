//! What befalls the world: long outages, restored backups, and senders that do not wait for evidence.

use bursar::domain::billing::{ChunkState, Outcome};
use bursar::engine::ChunkView;
use bursar::stripe::gateway::{Fault, Kind, NewMeterEvent};

use super::{INCLUDED, World};
use crate::operations::process::done;
use crate::stripe::{Calls, Door};
use crate::usage_out::script::{CUSTOMERS, METERS, Outage};
use crate::usage_out::sender::Sender;

/// Minutes between two looks while nothing gets through.
const OUTAGE_STEP: u32 = 30;

impl World {
    pub(super) async fn outage(&mut self, hours: u32, how: Outage) {
        self.weather(0);
        for customer in 0..CUSTOMERS {
            for meter in 0..METERS {
                self.consume(customer, meter, INCLUDED + 7).await;
            }
        }
        self.seal_all().await;
        match how {
            Outage::Refused => self.double.door(Door::NotListening).await,
            Outage::Unclear | Outage::Mute => {
                self.double.faults().mix(1_000, Calls::all(), how.faults());
            }
        }
        for _ in 0..hours * 60 / OUTAGE_STEP {
            self.send().await;
            self.pass(OUTAGE_STEP).await;
        }
        self.double.door(Door::Open).await;
        self.weather(0);
    }

    /// Restores a backup that was made before the last sends. Nothing is sealed between, since what only the lost database
    /// knew would be missing in the sums.
    pub(super) async fn restore(&mut self, rounds: u32) {
        self.seal_all().await;
        let database = self.database();
        let archive = self
            .folder
            .path()
            .join(format!("{}.archive", self.databases));
        let archive = archive.display().to_string();
        run(["backup", "--database", &database, &archive]).await;
        for _ in 0..rounds {
            self.send().await;
            self.pass(8).await;
        }
        self.die().await;
        self.databases += 1;
        run(["restore", "--database", &self.database(), &archive]).await;
        self.live().await;
    }

    /// Does what a sender does that does not wait for evidence.
    pub(super) async fn be_careless(&mut self) {
        let again = match self.sender {
            Sender::Right | Sender::NamesEachAttempt | Sender::Keyed => return,
            Sender::SendsWhatIsInDoubt | Sender::Persistent => self.chunks().await,
        };
        for view in again {
            if view.chunk.state != ChunkState::InDoubt {
                continue;
            }
            if self.sender == Sender::SendsWhatIsInDoubt {
                self.engine().requeue_chunk(&view.id).await.unwrap();
            } else if self.is_taken(&view).await {
                let engine = self.engine();
                engine
                    .settle_chunk(&view, Outcome::Delivered)
                    .await
                    .unwrap();
            }
        }
        self.look().await;
    }

    async fn is_taken(&self, view: &ChunkView) -> bool {
        let event = NewMeterEvent {
            event_name: view.chunk.event_name.to_string(),
            customer: view.chunk.payer.to_string(),
            value: view.chunk.value,
            identifier: view.chunk.identifier.to_string(),
            timestamp: view.chunk.count_time.as_micros() / 1_000_000,
        };
        match self.gateway.send_meter_event(&event).await {
            Ok(_) => true,
            Err(Fault { kind, .. }) => kind == Kind::AlreadyExists,
        }
    }
}

/// Runs the real command.
async fn run<const N: usize>(args: [&str; N]) {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let ran = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        done(&args);
    });
    ran.await.unwrap();
}
