//! A client that streams: as much as its window holds is on its way, and what is not acknowledged when the stream
//! breaks is sent again on the next, in the same order and with the same ids.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bursar::grpc::pb;
use bursar::grpc::pb::metering_service_client::MeteringServiceClient;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::Client;
use super::wire::{self, Event};
use crate::journal::{EventAnswer, Line};

/// Most events on their way.
const WINDOW: usize = 1200;
/// Events in a batch.
const BATCH: usize = 150;
/// Pause before a stream that broke is opened again.
const PAUSE: Duration = Duration::from_millis(10);

/// What is on its way, in order.
#[derive(Default)]
struct Window {
    /// Not acknowledged; the first so many are sent on this stream.
    waiting: VecDeque<Event>,
    sent: usize,
    /// The sequence number of the last event acknowledged on this stream.
    acked: i64,
}

pub async fn run(mut client: Client) -> io::Result<()> {
    let mut window = Window::default();
    while let Some(channels) = client.connect().await {
        window.sent = 0;
        window.acked = 0;
        client.waits_for(0);
        if run_once(&mut client, &mut window, channels[0].clone()).await? {
            break;
        }
        client.waits_for(window.sent);
        tokio::time::sleep(PAUSE).await;
    }
    client.waits_for(0);
    Ok(())
}

/// Runs one stream until it breaks; true when all is done.
async fn run_once(client: &mut Client, window: &mut Window, channel: Channel) -> io::Result<bool> {
    let (batches, receiver) = mpsc::channel(WINDOW / BATCH + 1);
    let opened = MeteringServiceClient::new(channel)
        .record_usage(ReceiverStream::new(receiver))
        .await;
    let Ok(mut answers) = opened.map(tonic::Response::into_inner) else {
        return Ok(false);
    };
    loop {
        if client.has_news() || !fill(client, window, &batches).await? {
            return Ok(false);
        }
        client.waits_for(window.sent);
        if window.waiting.is_empty() {
            if !client.may_begin().await {
                return Ok(true);
            }
            continue;
        }
        // A server that stands still says nothing, and does not end the stream either.
        let answer = timeout(client.ground.call_timeout(), answers.message()).await;
        let Ok(Ok(Some(answer))) = answer else {
            return Ok(false);
        };
        take(client, window, &answer)?;
    }
}

/// Sends until the window is full; false when the stream takes no more.
async fn fill(
    client: &mut Client,
    window: &mut Window,
    batches: &mpsc::Sender<pb::RecordUsageRequest>,
) -> io::Result<bool> {
    while window.sent + BATCH < WINDOW {
        if window.sent == window.waiting.len() {
            if !client.is_at_work() {
                break;
            }
            let events = client.draw.facts(BATCH);
            let at = client.ground.now();
            let lines: Vec<Line> = events.iter().map(|event| event.sent_at(at)).collect();
            client.journal.append(&lines)?;
            window.waiting.extend(events);
        }
        let next = window.waiting.range(window.sent..);
        let events: Vec<_> = next.take(BATCH).map(wire::event).collect();
        let sent = i64::try_from(window.sent).expect("the window is small");
        window.sent += events.len();
        let batch = pb::RecordUsageRequest {
            first_seq: window.acked + sent + 1,
            events,
        };
        if batches.send(batch).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Logs what an answer settles.
fn take(
    client: &mut Client,
    window: &mut Window,
    answer: &pb::RecordUsageResponse,
) -> io::Result<()> {
    let at = client.ground.now();
    let (mut lines, mut again) = (Vec::new(), Vec::new());
    while window.acked < answer.acked_through {
        window.acked += 1;
        window.sent = window.sent.saturating_sub(1);
        let Some(event) = window.waiting.pop_front() else {
            return Err(io::Error::other("more is acknowledged than was sent"));
        };
        let reject = answer
            .rejects
            .iter()
            .find(|reject| reject.seq == window.acked);
        let settled = match reject.map(wire::reject) {
            None => Some(EventAnswer::Accepted),
            Some(Some(reason)) => Some(EventAnswer::Rejected(reason)),
            Some(None) => None,
        };
        match settled {
            Some(settled) => {
                lines.push(event.answered_at(at, settled.clone()));
                if settled.is_stored() {
                    client.draw.remember(event);
                }
            }
            None => again.push(event),
        }
    }
    client.journal.append(&lines)?;
    client.acked(lines.len());
    window.waiting.extend(again);
    Ok(())
}

impl Event {
    /// Returns the line that says that it is about to be sent.
    pub fn sent_at(&self, at: i64) -> Line {
        Line::Event {
            at,
            customer: self.customer,
            id: self.id.clone(),
            variant: self.variant,
            content: self.content.clone(),
        }
    }

    /// Returns the line that says what it was answered.
    pub fn answered_at(&self, at: i64, answer: EventAnswer) -> Line {
        Line::EventAnswer {
            at,
            customer: self.customer,
            id: self.id.clone(),
            variant: self.variant,
            answer,
        }
    }
}
