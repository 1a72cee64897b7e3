"""Takes webhooks, checked by the official Python client. Prints its address; GET tells how many were good and bad."""

import http.server
import sys

import stripe

SECRET = sys.argv[1]
COUNT = {"good": 0, "bad": 0}


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, f"{COUNT['good']} good, {COUNT['bad']} bad".encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = stripe.Webhook.construct_event(body, self.headers["stripe-signature"], SECRET)
            assert event.type and event.data.object
        except Exception as error:
            print(f"not believed: {error}", file=sys.stderr)
            COUNT["bad"] += 1
            return self.answer(400)
        COUNT["good"] += 1
        self.answer(200)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
