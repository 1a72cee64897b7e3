"""A client of bursar: one customer's story, from its creation to its usage.

    python story.py [ADDR [CUSTOMER [EVENTS]]]

Ends with an error when an answer is not what it should be.
"""

import pathlib
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE / "gen"))

import grpc
from bursar.v1 import customer_service_pb2 as customers
from bursar.v1 import customer_service_pb2_grpc, entitlement_service_pb2_grpc, metering_service_pb2_grpc
from bursar.v1 import decision_pb2 as decisions
from bursar.v1 import entitlement_service_pb2 as entitlements
from bursar.v1 import metering_service_pb2 as metering
from bursar.v1 import reservation_pb2 as reservations
from bursar.v1 import usage_pb2 as usage
from grpc_status import rpc_status

from record import reason, record


def expect(what, actual, expected):
    if actual != expected:
        sys.exit(f"{what}: {actual}, expected {expected}")


def connect(address):
    """Opens a channel whose timeouts, retries and waiting for a connection are in the service config."""
    options = [
        ("grpc.service_config", (HERE.parent / "service_config.json").read_text()),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    return grpc.insecure_channel(address, options)


def create(channel, customer):
    """Makes a customer, twice: the request id makes the second call a repeat of the first."""
    stub = customer_service_pb2_grpc.CustomerServiceStub(channel)
    request = customers.CreateCustomerRequest(
        request_id=f"{customer}-create", customer={"customer_id": customer, "display_name": "Example"}
    )
    first, again = stub.CreateCustomer(request), stub.CreateCustomer(request)
    print(f"created {customer} on plan {first.customer.plan_id}")
    expect("a repeat has the same answer", again, first)
    try:
        stub.GetCustomer(customers.GetCustomerRequest(customer_id=f"{customer}-other"))
        sys.exit("there is a customer that nobody created")
    except grpc.RpcError as error:
        expect("reason of an unknown customer", reason(rpc_status.from_call(error)), "CUSTOMER_NOT_FOUND")


def check(stub, customer):
    """Asks before work. A denial is an answer, not an error."""
    for quantity, allowed in (1_200, True), (20_000, False):
        request = entitlements.CheckEntitlementRequest(customer_id=customer, feature_id="tokens", quantity=quantity)
        decision = stub.CheckEntitlement(request, timeout=1).decision  # shorter than the service config's
        name = decisions.DecisionReason.Name(decision.reason)
        print(f"check {quantity} tokens: {name}, {decision.remaining} left")
        expect("allowed", decision.allowed, allowed)


def work(stub, customer):
    """Reserves the most that it may take, works, and commits what it took."""
    items = [{"feature_id": "tokens", "quantity": 5_000}, {"feature_id": "parallel_jobs"}]
    request = entitlements.ReserveRequest(
        request_id=f"{customer}-reserve", customer_id=customer, items=items, ttl={"seconds": 60}, holder="example"
    )
    reserved = stub.Reserve(request)
    expect("reserved", reserved.decision.allowed, True)
    request = entitlements.CheckEntitlementRequest(customer_id=customer, feature_id="parallel_jobs")
    busy = stub.CheckEntitlement(request).decision
    expect("a second job", busy.reason, decisions.DECISION_REASON_CONCURRENCY_LIMIT_EXCEEDED)
    events = [
        {"event_id": "chat", "meter_id": "tokens", "quantity": 1_200},
        {"event_id": "research", "meter_id": "tokens", "quantity": 300, "dimensions": {"operation": "research"}},
    ]
    request = entitlements.CommitReservationRequest(
        request_id=f"{customer}-commit",
        customer_id=customer,
        reservation_id=reserved.reservation.reservation_id,
        events=events,
    )
    done = stub.CommitReservation(request).reservation
    print(f"reserved {done.items[0].quantity} tokens, used {done.items[0].used_milli // 1000}")
    expect("state", done.state, reservations.RESERVATION_STATE_COMMITTED)
    expect("used: research counts three times", done.items[0].used_milli, 2_100_000)


def stream(stub, customer, count):
    """Records many events, among them one that is refused, and then some of them again."""

    def event(name, meter, quantity):
        made = usage.UsageEvent(event_id=name, customer_id=customer, meter_id=meter, quantity=quantity)
        made.event_time.GetCurrentTime()  # when it happened, not when it arrives
        return made

    events = [event(f"event-{n}", "generated_tokens", 3) for n in range(count)]
    events.append(event("bad", "tokens", -5))
    totals = record(stub, events, lambda acked: print(f"acked {acked}", flush=True))
    print(f"recorded {totals['acked']} events on {totals['streams']} streams, {totals['resent']} sent again")
    expect("rejected", totals["QUANTITY_NEGATIVE"], 1)
    expect("duplicates", record(stub, events[:100])["duplicates"], 100)


def total(stub, customer, meter, value, count):
    """Reads the usage of a meter."""
    request = metering.GetUsageRequest(customer_id=customer, meter_id=meter)
    request.start_time.FromSeconds(int(time.time()) - 86_400)
    request.end_time.FromSeconds(int(time.time()) + 3_600)
    (row,) = stub.GetUsage(request).rows
    print(f"{meter}: {row.value} in {row.event_count} events")
    expect(meter, (row.value, row.event_count), (value, count))


def main(address="localhost:50051", customer=f"python-{time.time_ns()}", events="5000"):
    with connect(address) as channel:
        entitlement = entitlement_service_pb2_grpc.EntitlementServiceStub(channel)
        meter = metering_service_pb2_grpc.MeteringServiceStub(channel)
        create(channel, customer)
        check(entitlement, customer)
        work(entitlement, customer)
        stream(meter, customer, int(events))
        total(meter, customer, "tokens", 2_100, 2)
        total(meter, customer, "generated_tokens", 3 * int(events), int(events))


if __name__ == "__main__":
    main(*sys.argv[1:])
