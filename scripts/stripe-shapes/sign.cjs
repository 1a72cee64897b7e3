// Signs the payloads of a file with the official Node SDK, a line of JSON each.
//
//   node sign.cjs PAYLOADS.json
const fs = require('fs');
const path = require('path');

const Stripe = require(path.join(__dirname, '..', '..', '.tools', 'stripe-shapes', 'node_modules', 'stripe'));

const stripe = new Stripe('sk_test_gate');
for (const { payload, secret, timestamp } of JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))) {
  const header = stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp });
  console.log(JSON.stringify({ payload, header, secret, timestamp, signer: 'node' }));
}
