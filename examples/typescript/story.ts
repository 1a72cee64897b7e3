// A client of bursar: one customer's story, from its creation to its usage. Ends with an error when an answer is not
// what it should be.
//
//     npm run build && node build/story.js [ADDR [CUSTOMER [EVENTS]]]

import { strict as assert } from "node:assert";

import type { ServiceError } from "@grpc/grpc-js";

import { call, connect, reason, statusOf } from "./connect.js";
import { record } from "./record.js";

const [address = "localhost:50051", customerId = `typescript-${Date.now()}`, count = "5000"] = process.argv.slice(2);
const { customers, entitlements, metering, close } = connect(address);

// Makes a customer, twice: the request id makes the second call a repeat of the first.
async function create() {
  const request = { requestId: `${customerId}-create`, customer: { customerId, displayName: "Example" } };
  const first = await call(customers, customers.CreateCustomer, request);
  const again = await call(customers, customers.CreateCustomer, request);
  console.log(`created ${customerId} on plan ${first.customer?.planId}`);
  assert.deepEqual(again, first, "a repeat has the same answer");
  const unknown = call(customers, customers.GetCustomer, { customerId: `${customerId}-other` });
  await assert.rejects(unknown, (error: ServiceError) => reason(statusOf(error)) === "CUSTOMER_NOT_FOUND");
}

// Asks before work. A denial is an answer, not an error.
async function check(quantity: number, allowed: boolean) {
  const request = { customerId, featureId: "tokens", quantity };
  const { decision } = await call(entitlements, entitlements.CheckEntitlement, request);
  console.log(`check ${quantity} tokens: ${decision?.reason}, ${decision?.remaining} left`);
  assert.equal(decision?.allowed, allowed, "allowed");
}

// Reserves the most that it may take, works, and commits what it took.
async function work() {
  const reserved = await call(entitlements, entitlements.Reserve, {
    requestId: `${customerId}-reserve`,
    customerId,
    items: [{ featureId: "tokens", quantity: 5000 }, { featureId: "parallel_jobs" }],
    ttl: { seconds: 60 },
    holder: "example",
  });
  assert.equal(reserved.decision?.allowed, true, "reserved");
  const busy = await call(entitlements, entitlements.CheckEntitlement, { customerId, featureId: "parallel_jobs" });
  assert.equal(busy.decision?.reason, "DECISION_REASON_CONCURRENCY_LIMIT_EXCEEDED", "a second job");
  const committed = await call(entitlements, entitlements.CommitReservation, {
    requestId: `${customerId}-commit`,
    customerId,
    reservationId: reserved.reservation?.reservationId,
    events: [
      { eventId: "chat", meterId: "tokens", quantity: 1200 },
      { eventId: "research", meterId: "tokens", quantity: 300, dimensions: { operation: "research" } },
    ],
  });
  const tokens = committed.reservation?.items[0];
  console.log(`reserved ${tokens?.quantity} tokens, used ${Number(tokens?.usedMilli) / 1000}`);
  assert.equal(committed.reservation?.state, "RESERVATION_STATE_COMMITTED", "state");
  assert.equal(tokens?.usedMilli, "2100000", "used: research counts three times");
}

// Records many events, among them one that is refused, and then some of them again.
async function stream(count: number) {
  const event = (eventId: string, meterId: string, quantity: number) => {
    const eventTime = { seconds: Math.floor(Date.now() / 1000) }; // when it happened, not when it arrives
    return { eventId, customerId, meterId, quantity, eventTime };
  };
  const events = Array.from({ length: count }, (_, n) => event(`event-${n}`, "generated_tokens", 3));
  events.push(event("bad", "tokens", -5));
  const totals = await record(metering, events, (acked) => console.log(`acked ${acked}`));
  console.log(`recorded ${totals.acked} events on ${totals.streams} streams, ${totals.resent} sent again`);
  assert.equal(totals.rejected.get("QUANTITY_NEGATIVE"), 1, "rejected");
  const again = await record(metering, events.slice(0, 100));
  assert.equal(again.duplicates, 100, "duplicates");
}

// Reads the usage of a meter.
async function total(meterId: string, value: number, count: number) {
  const now = Math.floor(Date.now() / 1000);
  const range = { startTime: { seconds: now - 86_400 }, endTime: { seconds: now + 3_600 } };
  const { rows } = await call(metering, metering.GetUsage, { customerId, meterId, ...range });
  console.log(`${meterId}: ${rows[0]?.value} in ${rows[0]?.eventCount} events`);
  assert.deepEqual([rows.length, rows[0]?.value, rows[0]?.eventCount], [1, `${value}`, `${count}`], meterId);
}

await create();
await check(1_200, true);
await check(20_000, false);
await work();
await stream(Number(count));
await total("tokens", 2_100, 2);
await total("generated_tokens", 3 * Number(count), Number(count));
close();
