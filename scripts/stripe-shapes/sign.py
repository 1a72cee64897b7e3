# Signs the payloads of a file with the official Python SDK, a line of JSON each.
#
#   python sign.py PAYLOADS.json
import json
import sys

from stripe import WebhookSignature

with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
for case in cases:
    payload, secret, timestamp = case["payload"], case["secret"], case["timestamp"]
    signature = WebhookSignature._compute_signature(f"{timestamp}.{payload}", secret)
    header = f"t={timestamp},v1={signature}"
    # The SDK believes what it signed, whenever that was.
    WebhookSignature.verify_header(payload, header, secret, tolerance=None)
    line = {"payload": payload, "header": header, "secret": secret, "timestamp": timestamp, "signer": "python"}
    print(json.dumps(line))
