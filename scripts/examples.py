"""Runs a client against a server of its own, and again while the server is stopped and killed under its stream.

    python3 scripts/examples.py BURSAR NAME COMMAND...

The command is given an address, a customer and a number of events. It prints `acked N` as it goes and ends with an error
when an answer is not what it should be, totals included.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading

from server import Server

STORY_SECONDS = 120
# The least that is sent of one stream, so that several are acknowledged one after the other.
WINDOW = ["--stream-window", "1000"]
FEW, MANY = 5_000, 60_000
# How the server ends, and after which part of the events.
ENDS = [(signal.SIGTERM, 0.2), (signal.SIGKILL, 0.5)]


def story(server, command, customer, count, ends):
    """Runs the client, ends the server where it says so, and returns what the client printed."""
    ends, printed = list(ends), []
    client = subprocess.Popen(
        [*command, server.grpc, customer, str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = threading.Timer(STORY_SECONDS, client.kill)
    timer.start()
    try:
        for line in client.stdout:
            acked = re.fullmatch(r"acked (\d+)\n", line)
            if not acked:
                printed.append(line)
            elif ends and int(acked[1]) >= ends[0][1] * count:
                how, _ = ends.pop(0)
                code = server.stop(how)
                printed.append(f"server: {how.name} after {acked[1]} events, exit code {code}\n")
                if how == signal.SIGTERM and code != 0:
                    sys.exit(f"the server does not drain:\n{server.said()}")
                server.__enter__()
    finally:
        timer.cancel()
        client.kill()
        code = client.wait()
    print("".join(f"  {line}" for line in printed), end="", flush=True)
    if code != 0 or ends:
        sys.exit(f"the client ended with {code}, the server was to end {len(ends)} times more:\n{server.said()}")
    return "".join(printed)


def main():
    bursar, name, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="bursar-examples-") as folder:
        with Server(os.path.abspath(bursar), folder, *WINDOW) as server:
            story(server, command, f"{name}-calm", FEW, [])
            printed = story(server, command, f"{name}-restarts", MANY, ENDS)
    streams = re.search(r"recorded \d+ events on (\d+) streams", printed)
    if not streams or int(streams[1]) <= len(ENDS):
        sys.exit("no stream was cut")
    print(f"{name}: passed")


if __name__ == "__main__":
    main()
