//! The stream's protocol.

use bursar::grpc::pb;
use pb::{RecordUsageRequest, RecordUsageResponse};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use crate::harness::{Kind, TestServer, event, run, seen, seen_inside};

pub fn batch(first_seq: i64, events: Vec<pb::UsageEvent>) -> RecordUsageRequest {
    RecordUsageRequest { first_seq, events }
}

pub fn events(first: i64, count: i64) -> Vec<pb::UsageEvent> {
    (first..first + count)
        .map(|seq| event("acme", format!("e-{seq}"), 1))
        .collect()
}

/// One open stream.
pub struct Stream {
    send: mpsc::Sender<RecordUsageRequest>,
    answers: Streaming<RecordUsageResponse>,
}

impl Stream {
    /// Opens a stream and reads the greeting.
    pub async fn open(server: &TestServer) -> Self {
        let (send, batches) = mpsc::channel(64);
        let mut client = server.metering().await;
        let answers = client.record_usage(ReceiverStream::new(batches)).await;
        let mut stream = Self {
            send,
            answers: answers.unwrap().into_inner(),
        };
        let greeting = stream.next().await.unwrap();
        assert_eq!((greeting.acked_through, greeting.drain), (0, false));
        assert!(greeting.credits >= 1);
        stream
    }

    pub async fn send(&self, batch: RecordUsageRequest) {
        self.send.send(batch).await.unwrap();
    }

    pub async fn next(&mut self) -> Result<RecordUsageResponse, Status> {
        self.answers
            .message()
            .await
            .map(|answer| answer.expect("the stream goes on"))
    }

    /// Reads answers until an event is acknowledged; returns rejects and duplicates on the way.
    pub async fn until(&mut self, seq: i64) -> (Vec<pb::UsageReject>, i64) {
        let (mut rejects, mut duplicates, mut acked) = (Vec::new(), 0, 0);
        while acked < seq {
            let answer = self.next().await.unwrap();
            assert!(answer.acked_through >= acked, "acknowledgements never fall");
            acked = answer.acked_through;
            duplicates += answer.duplicate_count;
            for reject in answer.rejects {
                assert!(reject.seq <= acked, "a reject comes no later than its ack");
                rejects.push(reject);
            }
        }
        assert_eq!(acked, seq);
        (rejects, duplicates)
    }

    /// Reads until the stream ends and returns why, and how far it got.
    pub async fn end(&mut self) -> (Option<Status>, i64) {
        let mut acked = 0;
        loop {
            match self.answers.message().await {
                Ok(Some(answer)) => acked = answer.acked_through,
                Ok(None) => return (None, acked),
                Err(status) => return (Some(status), acked),
            }
        }
    }
}

#[test]
fn every_event_is_acknowledged_and_a_second_time_is_a_duplicate() {
    run(async {
        for kind in [Kind::Memory, Kind::Sqlite] {
            let server = TestServer::start(kind);
            for round in 0..2 {
                let mut stream = Stream::open(&server).await;
                for part in 0..5 {
                    stream
                        .send(batch(1 + part * 100, events(1 + part * 100, 100)))
                        .await;
                }
                let (rejects, duplicates) = stream.until(500).await;
                assert_eq!((rejects.len(), duplicates), (0, round * 500));
                drop(stream.send);
                assert!(stream.answers.message().await.unwrap().is_none());
            }
            server.stop().await;
        }
    });
}

#[test]
fn a_bad_event_is_a_reject_and_stops_nothing() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut stream = Stream::open(&server).await;
        let mut sent = events(1, 10);
        sent[2].event_id = "not an id".to_owned();
        sent[5].meter_id = "unknown".to_owned();
        sent[7] = event("acme", "e-1", 2);
        stream.send(batch(1, sent)).await;
        stream.send(batch(11, events(11, 1))).await;
        let (rejects, duplicates) = stream.until(11).await;
        let rejects: Vec<_> = rejects
            .iter()
            .map(|reject| {
                let (code, reason, _) = seen_inside(reject.status.as_ref().unwrap());
                (reject.seq, code, reason)
            })
            .collect();
        let expected = [
            (3, 3, "FIELD_INVALID".to_owned()),
            (6, 5, "METER_NOT_FOUND".to_owned()),
            (8, 6, "EVENT_ID_REUSED".to_owned()),
        ];
        assert_eq!(rejects, expected);
        assert_eq!(duplicates, 0);
        server.stop().await;
    });
}

#[test]
fn a_gap_a_repeat_or_a_jump_ends_the_stream_and_nothing_after_it_counts() {
    run(async {
        for wrong in [1, 10, 12, 1_000_000, 0, -1, i64::MAX] {
            let server = TestServer::start(Kind::Memory);
            let mut stream = Stream::open(&server).await;
            stream.send(batch(1, events(1, 10))).await;
            stream.send(batch(wrong, events(500, 10))).await;
            stream.send(batch(11, events(600, 10))).await;
            let (status, acked) = stream.end().await;
            let (code, reason, _) = seen(&status.expect("it ends with an error"));
            assert_eq!((code, reason.as_str()), (9, "SEQUENCE_BROKEN"), "{wrong}");
            assert_eq!(acked, 10, "what came before is acknowledged");

            let mut again = Stream::open(&server).await;
            again.send(batch(1, events(500, 10))).await;
            again.send(batch(11, events(600, 10))).await;
            assert_eq!(again.until(20).await.1, 0, "nothing of it was recorded");
            server.stop().await;
        }
    });
}

#[test]
fn batches_must_hold_one_to_a_thousand_events() {
    run(async {
        let server = TestServer::start(Kind::Memory);
        for (count, reason) in [(0, "FIELD_INVALID"), (1001, "BATCH_TOO_LARGE")] {
            let mut stream = Stream::open(&server).await;
            stream.send(batch(1, events(1, count))).await;
            let (status, acked) = stream.end().await;
            let seen = seen(&status.expect("it ends with an error"));
            assert_eq!(seen, (3, reason.to_owned(), "events".to_owned()));
            assert_eq!(acked, 0);
        }
        server.stop().await;
    });
}

#[test]
fn a_client_beyond_its_credits_is_told_to_stop() {
    run(async {
        let server = TestServer::with(Kind::Memory, |config| config.stream_window = 500);
        let mut stream = Stream::open(&server).await;
        stream.send(batch(1, events(1, 500))).await;
        stream.until(500).await;
        stream.send(batch(501, events(501, 500))).await;
        stream.until(1000).await;
        stream.send(batch(1001, events(1001, 501))).await;
        let (status, acked) = stream.end().await;
        let (code, reason, _) = seen(&status.expect("it ends with an error"));
        assert_eq!((code, reason.as_str()), (8, "CREDITS_EXCEEDED"));
        assert_eq!(acked, 0, "nothing more is acknowledged");
        server.stop().await;
    });
}

#[test]
fn a_stopping_server_says_so_acknowledges_what_it_took_and_ends_the_stream() {
    run(async {
        for kind in [Kind::Memory, Kind::Sqlite] {
            let server = TestServer::start(kind);
            let mut idle = Stream::open(&server).await;
            let mut busy = Stream::open(&server).await;
            busy.send(batch(1, events(1, 50))).await;
            busy.until(50).await;
            let stopping = server.begin_stop();
            for stream in [&mut idle, &mut busy] {
                let answer = stream.next().await.unwrap();
                assert!(answer.drain);
                let (status, _) = stream.end().await;
                let (code, reason, _) = seen(&status.expect("it ends with an error"));
                assert_eq!((code, reason.as_str()), (14, "DRAINING"));
            }
            tokio::task::spawn_blocking(move || stopping.join().unwrap())
                .await
                .unwrap();
        }
    });
}

/// Sends one message per DATA frame: between two messages it always says that it is not ready.
#[test]
fn a_client_that_sends_one_small_event_per_frame_at_full_speed_is_served() {
    const COUNT: i64 = 20_000;
    run(async {
        let server = TestServer::start(Kind::Memory);
        let mut client = server.metering().await;
        let one_by_one = tokio_stream::iter(1..=COUNT).then(async |seq| {
            tokio::task::yield_now().await;
            let mut small = event("c", seq, 1);
            small.meter_id = "calls".to_owned();
            batch(seq, vec![small])
        });
        let answers = client.record_usage(one_by_one).await;
        let mut answers = answers.unwrap().into_inner();
        let mut acked = 0;
        while let Some(answer) = answers.message().await.expect("the connection stays") {
            acked = answer.acked_through;
        }
        assert_eq!(acked, COUNT);
        server.stop().await;
    });
}

#[test]
fn a_client_that_does_not_read_stops_only_itself() {
    run(async {
        let server = TestServer::with(Kind::Memory, |config| config.stream_window = 1000);
        let mut mute = Vec::new();
        for _ in 0..4 {
            let stream = Stream::open(&server).await;
            stream.send(batch(1, events(1, 1000))).await;
            mute.push(stream);
        }
        let mut stream = Stream::open(&server).await;
        for round in 0..20 {
            stream
                .send(batch(1 + round * 500, events(5000 + round * 500, 500)))
                .await;
            stream.until((round + 1) * 500).await;
        }
        drop(mute);
        server.stop().await;
    });
}
