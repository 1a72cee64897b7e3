//! The clients' own logs: what they were about to send, and what they were answered. A file for each client, flushed
//! to the disk before anything is sent and after anything is answered.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::credits::{Credits, Moved};
use crate::world::Meter;

/// What an event says, beside its customer and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// What is counted.
    pub meter: Meter,
    /// Units.
    pub quantity: i64,
    /// Whether it carries the dimension of the large model.
    pub large: bool,
    /// When it happened, in microseconds; `None`: the server says.
    pub event_time: Option<i64>,
    /// The reservation it names.
    pub reservation: Option<String>,
    /// Whose it is: the customer's own, or that of an agent, by place in [`PARTS`](crate::world::PARTS).
    pub part: usize,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventAnswer {
    /// It is stored now.
    Recorded,
    /// It was stored before.
    Duplicate,
    /// One of both: the stream says no more.
    Accepted,
    /// A limit stands against it; nothing is stored.
    Denied,
    /// It was refused for this reason; nothing is stored.
    Rejected(String),
    /// It was not done for a reason that passes; nothing is stored, and its sender gave up.
    Nothing,
}

impl EventAnswer {
    /// Whether the event is said to be durable.
    pub fn is_stored(&self) -> bool {
        match self {
            Self::Recorded | Self::Duplicate | Self::Accepted => true,
            Self::Denied | Self::Rejected(_) | Self::Nothing => false,
        }
    }
}

/// What a call other than an event asks for. Its request id names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Sets units of a meter aside.
    Reserve {
        meter: Meter,
        quantity: i64,
        least: i64,
        ttl: i64,
    },
    /// Takes a place among the jobs in flight.
    Start { ttl: i64 },
    /// Ends a reservation; its last event is logged as an event.
    Commit {
        reservation: String,
        event: Option<String>,
    },
    /// Gives a reservation back.
    Release { reservation: String },
    /// Lets a reservation live longer.
    Extend { reservation: String },
    /// Adds a seat.
    Allocate { seat: String },
    /// Removes a seat.
    Deallocate { seat: String },
    /// Takes an event back.
    Void { event: String },
    /// Changes a wallet.
    Credits(Credits),
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// So many units were set aside.
    Reserved {
        reservation: String,
        granted: i64,
        reserve_time: i64,
    },
    /// A limit stands against it.
    Denied,
    /// It is done.
    Done,
    /// The event no longer counts; whether this call took it back, or another before.
    Voided(bool),
    /// Credits moved.
    Moved(Moved),
    /// A wallet stands against it, for this reason; nothing was changed.
    Refused(String),
    /// It was refused for this reason, which should not be.
    Failed(String),
    /// It was not done for a reason that passes, and whoever asked gave up.
    Nothing,
}

/// One line of a log. Times are microseconds since the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// An event is about to be sent.
    Event {
        at: i64,
        customer: u32,
        id: String,
        /// Which of the contents sent under this id: 0 or 1.
        variant: u8,
        content: Content,
    },
    /// It was answered.
    EventAnswer {
        at: i64,
        customer: u32,
        id: String,
        variant: u8,
        answer: EventAnswer,
    },
    /// A call is about to be made.
    Call {
        at: i64,
        customer: u32,
        request: String,
        ask: Ask,
    },
    /// It was answered.
    CallAnswer {
        at: i64,
        request: String,
        answer: Answer,
    },
}

/// A log that is being written.
pub struct Journal(BufWriter<File>);

impl Journal {
    /// Begins a log.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(BufWriter::new(File::create_new(path)?)))
    }

    /// Appends lines; they are on the disk when this returns.
    pub fn append<'a>(&mut self, lines: impl IntoIterator<Item = &'a Line>) -> io::Result<()> {
        let mut is_empty = true;
        for line in lines {
            serde_json::to_writer(&mut self.0, line)?;
            self.0.write_all(b"\n")?;
            is_empty = false;
        }
        if is_empty {
            return Ok(());
        }
        self.0.flush()?;
        self.0.get_ref().sync_data()
    }
}

/// Reads a log.
pub fn read(path: &Path) -> io::Result<Vec<Line>> {
    let file = BufReader::new(File::open(path)?);
    file.lines()
        .map(|line| serde_json::from_str(&line?).map_err(io::Error::from))
        .collect()
}
