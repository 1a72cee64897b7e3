//! Recording over one stream, with an ack window: at most as many events on their way as the server grants, and
//! whatever was not acknowledged is sent again on the next stream, with the same ids.

use std::collections::VecDeque;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use tonic_types::RpcStatusExt;

use super::pace::{Pace, pause};
use super::script::Script;
use super::tally::Tally;
use crate::cli::connect::{describe, may_pass};
use crate::cli::failure::Failure;
use crate::clock::Stopwatch;
use crate::grpc::pb::metering_service_client::MeteringServiceClient;
use crate::grpc::pb::{RecordUsageRequest, RecordUsageResponse};

/// Most events per message.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Messages that may wait between us and the transport.
const QUEUE_MESSAGES: usize = 4;
/// Streams in a row that may end without any progress.
const FAILURES_MAX: u32 = 10;
/// Events of one row.
const COLUMNS: usize = 2;

/// Sends every event of the script and waits until each has its final outcome.
///
/// # Errors
/// When the server ends a stream for a fault of ours, or streams keep ending without progress.
pub async fn record_all(
    channel: Channel,
    script: &Script,
    pace: &Pace,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let total = script.rows() * COLUMNS;
    let mut client = MeteringServiceClient::new(channel);
    let (mut done, mut failures) = (0, 0);
    while done < total {
        let before = done;
        let ended = record_some(&mut client, script, pace, tally, bar, &mut done).await;
        failures = if done > before { 0 } else { failures + 1 };
        match ended {
            Ok(()) => {}
            Err(status) if may_pass(&status) && failures < FAILURES_MAX => {
                bar.println(format!("the stream ended, going on: {}", status.message()));
            }
            Err(status) => {
                return Err(Failure::Refused {
                    what: "record usage",
                    why: describe(&status),
                });
            }
        }
        if failures >= FAILURES_MAX {
            let why = "its streams keep ending before anything is acknowledged".to_owned();
            let what = "record usage";
            return Err(Failure::Refused { what, why });
        }
        if done < total {
            tokio::time::sleep(pause(failures)).await;
        }
    }
    Ok(())
}

/// Sends from `done` on over one stream, until all is acknowledged or the stream ends.
async fn record_some(
    client: &mut MeteringServiceClient<Channel>,
    script: &Script,
    pace: &Pace,
    tally: &mut Tally,
    bar: &ProgressBar,
    done: &mut usize,
) -> Result<(), Status> {
    let total = script.rows() * COLUMNS;
    let (queue, messages) = mpsc::channel(QUEUE_MESSAGES);
    let answers = client.record_usage(ReceiverStream::new(messages)).await?;
    let mut answers: Streaming<RecordUsageResponse> = answers.into_inner();
    let mut window = Window::from(*done);
    let mut open = true;
    while *done < total {
        let next = window.sent / COLUMNS;
        let wait =
            (open && window.sent < total && window.room() > 0).then(|| pace.until(script, next));
        tokio::select! {
            answer = answers.message() => {
                let Some(answer) = answer? else { break };
                if answer.drain {
                    open = false;
                }
                window.take(&answer, tally);
                *done = window.acked;
                bar.set_position(window.acked as u64);
            }
            permit = queue.reserve(), if wait == Some(Duration::ZERO) => match permit {
                Ok(permit) => permit.send(window.next_batch(script, pace)),
                // The stream is over; its answers say why.
                Err(_) => open = false,
            },
            () = tokio::time::sleep(wait.unwrap_or_default()),
                if wait.is_some_and(|wait| !wait.is_zero()) => {}
        }
    }
    tally.resent += (window.sent - window.acked) as u64;
    // Ends our side; the server's ends when it has said everything.
    drop(queue);
    while *done == total && matches!(answers.message().await, Ok(Some(_))) {}
    Ok(())
}

/// The events on their way on one stream, numbered as in the whole replay.
struct Window {
    /// Where the stream began: its sequence number 1 is the event after this many.
    base: usize,
    /// Events sent, in this stream or before.
    sent: usize,
    /// Events with their final outcome.
    acked: usize,
    /// Most events that may be on their way; 0 until the server has said so.
    credits: usize,
    /// When each message was sent, and up to which event it reaches.
    messages: VecDeque<(usize, Stopwatch)>,
}

impl Window {
    fn from(base: usize) -> Self {
        Self {
            base,
            sent: base,
            acked: base,
            credits: 0,
            messages: VecDeque::new(),
        }
    }

    /// Returns how many events may be sent now.
    fn room(&self) -> usize {
        (self.acked + self.credits).saturating_sub(self.sent)
    }

    /// Takes the events that are due, at most as many as a message and the credits hold; at least one.
    fn next_batch(&mut self, script: &Script, pace: &Pace) -> RecordUsageRequest {
        let total = script.rows() * COLUMNS;
        let end = (self.sent + self.room().min(BATCH_EVENTS_MAX)).min(total);
        let first = self.sent;
        let mut events = Vec::with_capacity(end - first);
        for at in first..end {
            let row = at / COLUMNS;
            if at > first && !pace.until(script, row).is_zero() {
                break;
            }
            events.push(script.event(row, at % COLUMNS));
        }
        self.sent += events.len();
        self.messages.push_back((self.sent, Stopwatch::start()));
        RecordUsageRequest {
            first_seq: i64::try_from(first - self.base + 1).unwrap_or(i64::MAX),
            events,
        }
    }

    /// Takes in what the server says.
    fn take(&mut self, answer: &RecordUsageResponse, tally: &mut Tally) {
        self.credits = usize::try_from(answer.credits).unwrap_or(0);
        let acked = self.base + usize::try_from(answer.acked_through).unwrap_or(0);
        let before = self.acked;
        self.acked = acked.clamp(before, self.sent);
        tally.events += (self.acked - before) as u64;
        tally.duplicates += answer.duplicate_count.unsigned_abs();
        for reject in &answer.rejects {
            let reason = reject
                .status
                .as_ref()
                .and_then(RpcStatusExt::get_details_error_info)
                .map_or_else(|| "UNKNOWN".to_owned(), |info| info.reason);
            tally.reject(reason, 1);
        }
        let mut from = before;
        while let Some((end, sent)) = self.messages.front() {
            let upto = (*end).min(self.acked);
            tally.acks.add(sent.elapsed(), upto.saturating_sub(from));
            from = from.max(upto);
            if *end > self.acked {
                break;
            }
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(through: i64, credits: i32) -> RecordUsageResponse {
        RecordUsageResponse {
            acked_through: through,
            credits,
            ..RecordUsageResponse::default()
        }
    }

    #[test]
    fn no_more_is_sent_than_the_credits_allow() {
        let plan = super::super::tests::sample_plan();
        let (script, pace) = (
            Script::new(plan, super::super::script::Target::default()),
            Pace::start(None),
        );
        let (mut window, mut tally) = (Window::from(10), Tally::default());
        assert_eq!(window.room(), 0, "the server speaks first");
        window.take(&ack(0, 60), &mut tally);
        let first = window.next_batch(&script, &pace);
        assert_eq!((first.first_seq, first.events.len()), (1, 60));
        assert_eq!(window.room(), 0);
        window.take(&ack(25, 60), &mut tally);
        let second = window.next_batch(&script, &pace);
        assert_eq!((second.first_seq, second.events.len()), (61, 25));
        assert_eq!(first.events[0], script.event(5, 0));
        assert_eq!(second.events[0], script.event(35, 0));
        window.take(&ack(85, 60), &mut tally);
        assert_eq!((window.acked, tally.events), (95, 85));
        assert!(window.messages.is_empty());
    }
}
