// A small lifecycle by the official Node client: catalog, subscription, schedule, usage, one-time payment, refund, end.
const assert = require("node:assert");
const Stripe = require("stripe");

const url = new URL(process.argv[2]);
const settings = {
  protocol: "http",
  host: url.hostname,
  port: url.port,
  apiVersion: "2026-01-28.clover",
  telemetry: false,
};
const stripe = new Stripe("sk_test_node", settings);
const other = new Stripe("sk_other", settings);

async function main() {
  const customer = await stripe.customers.create({ name: "Bob", metadata: { tenant: "t2" } });
  const method = await stripe.paymentMethods.attach("pm_card_visa", { customer: customer.id });
  await stripe.customers.update(customer.id, {
    invoice_settings: { default_payment_method: method.id },
  });
  const name = `node_${customer.id}_${Date.now()}`;
  const meter = await stripe.billing.meters.create({
    display_name: "Calls",
    event_name: name,
    default_aggregation: { formula: "sum" },
  });
  const product = await stripe.products.create({ name: "Plan" });
  const licensed = (unit_amount) => ({
    product: product.id,
    currency: "usd",
    unit_amount,
    recurring: { interval: "month" },
  });
  const small = await stripe.prices.create(licensed(1000));
  const large = await stripe.prices.create(licensed(3000));
  const metered = await stripe.prices.create({
    product: product.id,
    currency: "usd",
    billing_scheme: "tiered",
    tiers_mode: "graduated",
    tiers: [
      { up_to: 100, unit_amount: 0 },
      { up_to: "inf", unit_amount_decimal: "0.5" },
    ],
    recurring: { interval: "month", usage_type: "metered", meter: meter.id },
    expand: ["tiers"],
  });
  assert.strictEqual(metered.tiers.length, 2);
  const subscription = await stripe.subscriptions.create({
    customer: customer.id,
    items: [{ price: large.id }, { price: metered.id }],
    trial_period_days: 14,
  });
  assert.strictEqual(subscription.status, "trialing");
  const active = await stripe.subscriptions.update(subscription.id, { trial_end: "now" });
  assert.strictEqual(active.status, "active");

  const schedule = await stripe.subscriptionSchedules.create({
    from_subscription: subscription.id,
  });
  const phase = schedule.phases[0];
  const scheduled = await stripe.subscriptionSchedules.update(schedule.id, {
    end_behavior: "release",
    phases: [
      {
        items: [{ price: large.id, quantity: 1 }, { price: metered.id }],
        start_date: phase.start_date,
        end_date: phase.end_date,
      },
      {
        items: [{ price: small.id, quantity: 1 }, { price: metered.id }],
        duration: { interval: "month", interval_count: 1 },
        proration_behavior: "none",
      },
    ],
  });
  assert.strictEqual(scheduled.phases.length, 2);
  await stripe.subscriptionSchedules.release(schedule.id);

  const event = await stripe.billing.meterEvents.create({
    event_name: name,
    payload: { stripe_customer_id: customer.id, value: "7" },
  });
  assert.ok(event.identifier);
  const start_time = Math.floor(event.timestamp / 60) * 60;
  await stripe.billing.meters.listEventSummaries(meter.id, {
    customer: customer.id,
    start_time,
    end_time: start_time + 60,
  });

  const intent = await stripe.paymentIntents.create(
    {
      amount: 700,
      currency: "usd",
      customer: customer.id,
      payment_method: method.id,
      confirm: true,
      off_session: true,
    },
    { idempotencyKey: `pi-${name}` },
  );
  assert.strictEqual(intent.status, "succeeded");
  const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 200 });
  assert.strictEqual(refund.amount, 200);

  const endpoint = await stripe.webhookEndpoints.create({
    url: "https://example.com/hook",
    enabled_events: ["*"],
    api_version: "2026-01-28.clover",
  });
  assert.ok(endpoint.secret.startsWith("whsec_"));
  await stripe.webhookEndpoints.del(endpoint.id);

  await assert.rejects(other.customers.list(), Stripe.errors.StripeAuthenticationError);
  await assert.rejects(
    stripe.customers.create({ bogus: 1 }),
    (error) => error.code === "parameter_unknown" && Boolean(error.requestId),
  );
  let seen = 0;
  for await (const customer of stripe.customers.list({ limit: 1 })) {
    assert.strictEqual(customer.object, "customer");
    seen += 1;
  }
  assert.ok(seen >= 1);
  const ended = await stripe.subscriptions.cancel(subscription.id, { invoice_now: true });
  assert.strictEqual(ended.status, "canceled");
  console.log("node: done");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
