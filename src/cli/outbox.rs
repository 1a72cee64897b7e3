//! `bursar outbox`: usage on its way to Stripe, listed, explained, and sent once more.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use prost_types::Timestamp as PbTimestamp;
use tonic::transport::Channel;

use super::connect::{SERVER_DEFAULT, connect, refused, run_async, timed};
use super::failure::{FAULT, Failure, finish};
use super::print::{Paint, Tone};
use crate::domain::time::Timestamp;
use crate::grpc::pb::operations_service_client::OperationsServiceClient;
use crate::grpc::pb::{Chunk, ChunkState, ListChunksRequest, RequeueChunkRequest};

/// Most chunks that the server is asked for at a time.
const PAGE: i32 = 500;

/// The command line of `bursar outbox`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bursar outbox list                               what has not arrived
  bursar outbox list --state delivered --customer acme
  bursar outbox explain 'acme tokens 1764547200 3'
  bursar outbox requeue 'acme tokens 1764547200 3' --not-at-stripe

Sent once more, a chunk has another identifier: if Stripe has it under the first one, it is billed twice. One that was
refused is not there. For one in doubt, look at the meter's sums in Stripe's dashboard, and say --not-at-stripe.

Exit codes:
  0  done; with `list`: nothing is in doubt or failed
  1  something is in doubt or failed, there is no such chunk, or the server refused (2: a wrong command line)")]
pub struct OutboxArgs {
    #[command(subcommand)]
    action: Action,
    /// The server's gRPC address
    #[arg(
        long,
        global = true,
        env = "BURSAR_SERVER",
        default_value = SERVER_DEFAULT,
        value_name = "ADDR"
    )]
    server: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List chunks, the newest first
    List {
        /// Only those in this state; without it, all that were not delivered
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Only this customer's
        #[arg(long, value_name = "CUSTOMER")]
        customer: Option<String>,
        /// Most that are listed
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
    },
    /// Say all about chunks, and what to do about them
    Explain {
        /// Their names
        #[arg(required = true, value_name = "CHUNK")]
        chunks: Vec<String>,
    },
    /// Send chunks once more that failed or are in doubt
    Requeue {
        /// Their names
        #[arg(required = true, value_name = "CHUNK")]
        chunks: Vec<String>,
        /// For those in doubt: you have looked, and Stripe does not have them
        #[arg(long)]
        not_at_stripe: bool,
    },
}

/// Where a chunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum State {
    Sealed,
    Sending,
    Delivered,
    InDoubt,
    Failed,
}

impl State {
    /// All that are not at Stripe, or may not be.
    const OPEN: [Self; 4] = [Self::Failed, Self::InDoubt, Self::Sending, Self::Sealed];

    const fn asked(self) -> ChunkState {
        match self {
            Self::Sealed => ChunkState::Sealed,
            Self::Sending => ChunkState::Sending,
            Self::Delivered => ChunkState::Delivered,
            Self::InDoubt => ChunkState::InDoubt,
            Self::Failed => ChunkState::Failed,
        }
    }
}

/// Runs `bursar outbox`.
#[must_use]
pub fn run(args: &OutboxArgs) -> ExitCode {
    finish(run_async(async {
        let channel = connect(&args.server).await?;
        let mut outbox = Outbox {
            client: OperationsServiceClient::new(channel),
        };
        match &args.action {
            Action::List {
                state,
                customer,
                limit,
            } => outbox.list(*state, customer.as_deref(), *limit).await,
            Action::Explain { chunks } => outbox.explain(chunks).await,
            Action::Requeue {
                chunks,
                not_at_stripe,
            } => outbox.requeue(chunks, *not_at_stripe).await,
        }
    }))
}

struct Outbox {
    client: OperationsServiceClient<Channel>,
}

impl Outbox {
    async fn list(
        &mut self,
        state: Option<State>,
        customer: Option<&str>,
        limit: usize,
    ) -> Result<ExitCode, Failure> {
        let states = state.map_or_else(|| State::OPEN.to_vec(), |state| vec![state]);
        let mut found = Vec::new();
        for state in states {
            let left = limit - found.len().min(limit);
            let of = self.chunks((customer, Some(state)), left, |_| true).await?;
            found.extend(of);
        }
        let paint = Paint::stdout();
        let mut out = std::io::stdout().lock();
        for chunk in &found {
            let word = paint.tone(tone(chunk.state()), format!("{:9}", word(chunk.state())));
            let line = format!("{word}  {:>15}  {}", chunk.value, chunk.chunk_id);
            let attempts = match chunk.attempts {
                0 => String::new(),
                count => format!("  ({count} attempts)"),
            };
            if writeln!(out, "{line}{attempts}").is_err() {
                // Who reads has seen enough, as `head` has.
                break;
            }
        }
        if found.is_empty() {
            println!("nothing");
        } else if found.len() >= limit {
            println!("… and maybe more: --limit says how many are listed");
        }
        let is_wrong = |chunk: &Chunk| tone(chunk.state()) == Tone::Bad;
        Ok(ExitCode::from(if found.iter().any(is_wrong) {
            FAULT
        } else {
            0
        }))
    }

    async fn explain(&mut self, names: &[String]) -> Result<ExitCode, Failure> {
        for name in names {
            let chunk = self.named(name).await?;
            print(&chunk);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn requeue(
        &mut self,
        names: &[String],
        not_at_stripe: bool,
    ) -> Result<ExitCode, Failure> {
        for name in names {
            let chunk = self.named(name).await?;
            let why = match chunk.state() {
                ChunkState::Failed => None,
                ChunkState::InDoubt if not_at_stripe => None,
                ChunkState::InDoubt => Some("look whether Stripe has it, and say --not-at-stripe"),
                ChunkState::Delivered => Some("Stripe has it"),
                ChunkState::Sealed | ChunkState::Sending => Some("it is on its way"),
                ChunkState::Unspecified => Some("its state is not known to this bursar"),
            };
            if let Some(why) = why {
                let text = format!("{name} is not sent once more: {why}");
                return Err(Failure::Unusable(text));
            }
            let request = RequeueChunkRequest {
                chunk_id: name.clone(),
            };
            let answer = self.client.requeue_chunk(timed(request)).await;
            let answer = answer.map_err(refused("send a chunk once more"))?;
            let chunk = answer.into_inner().chunk.unwrap_or_default();
            println!("{name}: {}, as {}", word(chunk.state()), chunk.identifier);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns a chunk by its name, which begins with that of its customer.
    async fn named(&mut self, name: &str) -> Result<Chunk, Failure> {
        let customer = name.split(' ').next();
        let is = |chunk: &Chunk| chunk.chunk_id == name;
        let found = self.chunks((customer, None), 1, is).await?;
        let found = found.into_iter().next();
        found.ok_or_else(|| Failure::Unusable(format!("there is no chunk {name}")))
    }

    /// Returns so many of the newest chunks.
    async fn chunks(
        &mut self,
        (customer, state): (Option<&str>, Option<State>),
        limit: usize,
        is_wanted: impl Fn(&Chunk) -> bool,
    ) -> Result<Vec<Chunk>, Failure> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        while found.len() < limit {
            let request = ListChunksRequest {
                customer_id: customer.unwrap_or_default().to_owned(),
                state: state.map_or(0, |state| state.asked().into()),
                page_size: PAGE,
                page_token,
            };
            let page = self.client.list_chunks(timed(request)).await;
            let page = page.map_err(refused("list chunks"))?.into_inner();
            found.extend(page.chunks.into_iter().filter(&is_wanted));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        found.truncate(limit);
        Ok(found)
    }
}

const fn word(state: ChunkState) -> &'static str {
    match state {
        ChunkState::Unspecified => "unknown",
        ChunkState::Sealed => "sealed",
        ChunkState::Sending => "sending",
        ChunkState::Delivered => "delivered",
        ChunkState::InDoubt => "in_doubt",
        ChunkState::Failed => "failed",
    }
}

const fn tone(state: ChunkState) -> Tone {
    match state {
        ChunkState::Delivered => Tone::Good,
        ChunkState::Unspecified | ChunkState::Sealed | ChunkState::Sending => Tone::Note,
        ChunkState::InDoubt | ChunkState::Failed => Tone::Bad,
    }
}

/// Says what a state means, and what to do.
const fn meaning(state: ChunkState) -> (&'static str, &'static str) {
    match state {
        ChunkState::Unspecified => (
            "a state that this bursar does not know",
            "ask with the binary that the server runs",
        ),
        ChunkState::Sealed => (
            "it waits to be sent; nothing of it is at Stripe",
            "nothing: it is sent when it is due and what comes before it has arrived",
        ),
        ChunkState::Sending => (
            "it was sent, or is about to be, and its outcome is not known",
            "nothing: for 20 hours it is sent again under the same identifier, which counts once",
        ),
        ChunkState::Delivered => ("Stripe has it", "nothing"),
        ChunkState::InDoubt => (
            "whether Stripe has it is not known, and it is too late to send it again; it holds up what comes after it",
            "nothing, if Stripe's sums tell; else compare them in its dashboard, and requeue it if they lack it",
        ),
        ChunkState::Failed => (
            "Stripe refused it for good; it is not billed",
            "mend what the fault says, then requeue it",
        ),
    }
}

fn print(chunk: &Chunk) {
    let state = chunk.state();
    let (what, todo) = meaning(state);
    let state = Paint::stdout().tone(tone(state), word(state));
    println!("{}", chunk.chunk_id);
    println!("  state        {state}: {what}");
    println!("  what to do   {todo}");
    println!("  usage        {} of meter {}", chunk.value, chunk.meter_id);
    let (start, end) = (at(chunk.period_start), at(chunk.period_end));
    println!("  period       {start} to {end}");
    println!("  identifier   {}", chunk.identifier);
    println!("  sealed       {}", at(chunk.seal_time));
    println!(
        "  attempts     {}, first {}",
        chunk.attempts,
        at(chunk.first_attempt_time)
    );
    println!("  next look    {}", at(chunk.due_time));
    println!("  settled      {}", at(chunk.end_time));
    if !chunk.fault.is_empty() {
        println!("  last fault   {}", chunk.fault);
    }
}

fn at(time: Option<PbTimestamp>) -> String {
    const MICROS: i64 = 1_000_000;
    let micros = |time: PbTimestamp| {
        time.seconds
            .checked_mul(MICROS)?
            .checked_add(i64::from(time.nanos) / 1_000)
    };
    let time = time.and_then(micros).and_then(Timestamp::from_micros);
    time.map_or_else(|| "-".to_owned(), |time| time.to_string())
}
