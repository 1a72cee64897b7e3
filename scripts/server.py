"""A bursar server of one's own: on free ports, with a database in a folder of the caller's."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request

START_SECONDS = 30
STOP_SECONDS = 30


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Server:
    """Serves while it is entered; its ports and its database stay the same over restarts."""

    def __init__(self, bursar, folder, *flags):
        self.grpc, self.http = (f"127.0.0.1:{port}" for port in free_ports(2))
        self.log = f"{folder}/log"
        self.command = [bursar, "serve", "--grpc-addr", self.grpc, "--http-addr", self.http]
        self.command += ["--database", f"{folder}/bursar.db", *flags]

    def __enter__(self):
        with open(self.log, "a", encoding="utf-8") as output:
            self.process = subprocess.Popen(self.command, stdout=output, stderr=output)
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.stop(signal.SIGTERM)

    def stop(self, how):
        self.process.send_signal(how)
        return self.process.wait(timeout=STOP_SECONDS)

    def wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=1) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"the server does not start:\n{self.said()}")

    def said(self):
        with open(self.log, encoding="utf-8") as text:
            return text.read()
