// Recording usage over a stream, with an ack window.

import { setTimeout as sleep } from "node:timers/promises";

import * as grpc from "@grpc/grpc-js";

import { reason, statusOf, waiting } from "./connect.js";
import type { MeteringServiceClient } from "./gen/bursar/v1/MeteringService.js";
import type { RecordUsageResponse__Output as Answer } from "./gen/bursar/v1/RecordUsageResponse.js";
import type { UsageEvent } from "./gen/bursar/v1/UsageEvent.js";

const BATCH_EVENTS = 500; // a message takes at most 1000
const FAILURES_MAX = 10; // streams in a row that may end without progress

export class Totals {
  acked = 0;
  duplicates = 0;
  resent = 0;
  streams = 0;
  rejected = new Map<string, number>();
}

// Streams events until each has its final outcome, over as many streams as that takes. What a stream leaves
// unacknowledged is sent again on the next one, with the same event ids: what the server has already is a duplicate.
export async function record(client: MeteringServiceClient, events: UsageEvent[], progress = (_acked: number) => {}) {
  const totals = new Totals();
  for (let failures = 0; totals.acked < events.length; ) {
    const before = totals.acked;
    totals.streams += 1;
    try {
      await recordSome(client, events.slice(before), totals, progress);
    } catch (error) {
      failures = totals.acked > before ? 0 : failures + 1;
      if (!mayPass(error as grpc.ServiceError) || failures === FAILURES_MAX) throw error;
      await sleep((0.5 + Math.random() / 2) * Math.min(100 * 2 ** failures, 10_000));
    }
  }
  return totals;
}

// Sends events over one stream, never more than the credits beyond the last acknowledgement.
async function recordSome(
  client: MeteringServiceClient,
  events: UsageEvent[],
  totals: Totals,
  progress: (acked: number) => void,
) {
  const stream = client.RecordUsage(waiting());
  let [sent, acked] = [0, 0];
  try {
    // The server speaks first.
    for await (const answer of stream as AsyncIterable<Answer>) {
      totals.acked += Number(answer.ackedThrough) - acked;
      totals.duplicates += Number(answer.duplicateCount);
      for (const { status } of answer.rejects) {
        totals.rejected.set(reason(status), (totals.rejected.get(reason(status)) ?? 0) + 1);
      }
      acked = Number(answer.ackedThrough);
      progress(totals.acked);
      const room = Math.min(acked + answer.credits, events.length);
      while (sent < room && !answer.drain) {
        const batch = events.slice(sent, Math.min(sent + BATCH_EVENTS, room));
        stream.write({ firstSeq: sent + 1, events: batch });
        sent += batch.length;
      }
      if (acked === events.length) stream.end(); // the server then closes its side
    }
  } finally {
    totals.resent += sent - acked;
  }
}

// Whether a new stream may get further.
function mayPass(error: grpc.ServiceError): boolean {
  if (error.code === grpc.status.RESOURCE_EXHAUSTED) return reason(statusOf(error)) === "OVERLOADED";
  return error.code === grpc.status.UNAVAILABLE;
}
