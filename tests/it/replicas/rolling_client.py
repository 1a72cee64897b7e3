"""A client made of grpc's own library and the published service config: it works while servers restart under it.

    python rolling_client.py ADDR,ADDR,... CALLERS

It works until its standard input ends and the limit is used up. Any error that reaches a caller ends it. Its last line
says how often it was granted something, and how often it recorded.
"""

import json
import pathlib
import sys
import threading

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples"
sys.path.append(str(EXAMPLES / "python" / "gen"))

import grpc
from bursar.v1 import entitlement_service_pb2 as entitlements
from bursar.v1 import entitlement_service_pb2_grpc, metering_service_pb2_grpc
from bursar.v1 import metering_service_pb2 as metering

is_over = threading.Event()
failed = []


def connect(addresses):
    config = json.loads((EXAMPLES / "service_config.json").read_text())
    config["loadBalancingConfig"] = [{"round_robin": {}}]
    # A list of addresses is no valid authority, which the library would make of it.
    options = [("grpc.service_config", json.dumps(config)), ("grpc.default_authority", "bursar")]
    return grpc.insecure_channel(f"ipv4:{addresses}", options)


def take(stub, name):
    """Sets aside two units and uses one of them; false when there are none left."""
    items = [{"feature_id": "tokens", "quantity": 2}]
    request = entitlements.ReserveRequest(request_id=name, customer_id="acme", items=items)
    reserved = stub.Reserve(request)
    if not reserved.decision.allowed:
        return False
    held = reserved.reservation.reservation_id
    event = {"event_id": name, "customer_id": "acme", "meter_id": "tokens", "quantity": 1, "reservation_id": held}
    request = entitlements.CommitReservationRequest(
        request_id=f"{name}-end", customer_id="acme", reservation_id=held, events=[event]
    )
    stub.CommitReservation(request)
    return True


def work(channel, caller, counts):
    entitlement_stub = entitlement_service_pb2_grpc.EntitlementServiceStub(channel)
    metering_stub = metering_service_pb2_grpc.MeteringServiceStub(channel)
    granted, number, is_denied = 0, 0, False
    while not (is_denied and is_over.is_set()) and not failed:
        number += 1
        name = f"p{caller}-{number}"
        is_granted = take(entitlement_stub, name)
        granted += is_granted
        is_denied |= not is_granted
        request = entitlements.CheckEntitlementRequest(customer_id="acme", feature_id="tokens")
        entitlement_stub.CheckEntitlement(request)
        event = {"event_id": f"{name}-call", "customer_id": "other", "meter_id": "calls", "quantity": 1}
        recorded = metering_stub.RecordUsageBatch(metering.RecordUsageBatchRequest(events=[event]))
        if recorded.results[0].HasField("error"):
            raise RuntimeError(recorded.results[0].error.message)
    counts.append((granted, number))


def guarded(*args):
    try:
        work(*args)
    except Exception as error:
        failed.append(error)


def main():
    addresses, callers = sys.argv[1], int(sys.argv[2])
    counts = []
    with connect(addresses) as channel:
        threads = [threading.Thread(target=guarded, args=(channel, caller, counts)) for caller in range(callers)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        is_over.set()
        for thread in threads:
            thread.join()
    if failed:
        sys.exit(f"an error reached a caller: {failed[0]}")
    print(sum(granted for granted, _ in counts), sum(recorded for _, recorded in counts))


if __name__ == "__main__":
    main()
