"""Recording usage over a stream, with an ack window."""

import queue
import random
import time
from collections import Counter

import grpc
from bursar.v1 import metering_service_pb2 as metering
from google.rpc import error_details_pb2
from grpc_status import rpc_status

BATCH_EVENTS = 500  # a message takes at most 1000
FAILURES_MAX = 10  # streams in a row that may end without progress


def reason(status):
    """The machine-readable reason of a google.rpc.Status."""
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status else []:
        if detail.Unpack(info):
            return info.reason
    return ""


def may_pass(error):
    """Whether a new stream may get further."""
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return reason(rpc_status.from_call(error)) == "OVERLOADED"
    return error.code() == grpc.StatusCode.UNAVAILABLE


def record(stub, events, progress=lambda acked: None):
    """Streams events until each has its final outcome, over as many streams as that takes.

    What a stream leaves unacknowledged is sent again on the next one, with the same event ids: what the server has
    already is a duplicate. Returns counts: acked, duplicates, streams, resent, and rejects by their reason.
    """
    totals, failures = Counter(), 0
    while (before := totals["acked"]) < len(events):
        totals["streams"] += 1
        try:
            record_some(stub, events[before:], totals, progress)
        except grpc.RpcError as error:
            failures = 0 if totals["acked"] > before else failures + 1
            if not may_pass(error) or failures == FAILURES_MAX:
                raise
            time.sleep(random.uniform(0.5, 1) * min(0.1 * 2**failures, 10))
    return totals


def record_some(stub, events, totals, progress):
    """Sends events over one stream, never more than the credits beyond the last acknowledgement."""
    outbox, sent, acked = queue.SimpleQueue(), 0, 0
    answers = stub.RecordUsage(iter(outbox.get, None))
    try:
        for answer in answers:  # the server speaks first
            totals["acked"] += answer.acked_through - acked
            totals["duplicates"] += answer.duplicate_count
            totals.update(reason(reject.status) for reject in answer.rejects)
            acked = answer.acked_through
            progress(totals["acked"])
            room = min(acked + answer.credits, len(events))
            while sent < room and not answer.drain:
                batch = events[sent : min(sent + BATCH_EVENTS, room)]
                outbox.put(metering.RecordUsageRequest(first_seq=sent + 1, events=batch))
                sent += len(batch)
            if acked == len(events):
                outbox.put(None)  # closes our side; the server then closes its own
    finally:
        totals["resent"] += sent - acked
        outbox.put(None)
