"""A small lifecycle by the official Python client: catalog, subscription, usage, upgrade, refusals, end."""

import sys
import time

import stripe

stripe.api_key = "sk_test_python"
stripe.api_base = sys.argv[1]
stripe.api_version = "2026-01-28.clover"
stripe.max_network_retries = 2


def refused(expected, call):
    try:
        call()
    except expected as error:
        return error
    raise AssertionError(f"not refused: {expected}")


customer = stripe.Customer.create(name="Ann", email="ann@example.com", metadata={"tenant": "t1"})
assert stripe.Customer.retrieve(customer.id).metadata["tenant"] == "t1"
method = stripe.PaymentMethod.attach("pm_card_visa", customer=customer.id)
stripe.Customer.modify(customer.id, invoice_settings={"default_payment_method": method.id})

name = f"calls_{time.time_ns()}"
meter = stripe.billing.Meter.create(
    display_name="Calls", event_name=name, default_aggregation={"formula": "sum"}
)
product = stripe.Product.create(name="Plan")
monthly = {"interval": "month"}
small, large = (
    stripe.Price.create(product=product.id, currency="usd", unit_amount=amount, recurring=monthly)
    for amount in (1000, 3000)
)
metered = stripe.Price.create(
    product=product.id,
    currency="usd",
    unit_amount=2,
    recurring={"interval": "month", "usage_type": "metered", "meter": meter.id},
)
subscription = stripe.Subscription.create(
    customer=customer.id,
    items=[{"price": small.id}, {"price": metered.id}],
    expand=["latest_invoice"],
    idempotency_key=f"sub-{customer.id}",
)
assert subscription.status == "active", subscription.status
assert subscription.latest_invoice.status == "paid", subscription.latest_invoice.status

identifier = f"id-{customer.id}-{time.time_ns()}"
event = dict(
    event_name=name,
    identifier=identifier,
    payload={"stripe_customer_id": customer.id, "value": "25"},
)
assert stripe.billing.MeterEvent.create(**event).identifier == identifier
error = refused(stripe.InvalidRequestError, lambda: stripe.billing.MeterEvent.create(**event))
assert "already exists with identifier" in str(error), error

item = subscription["items"].data[0]
preview = stripe.Invoice.create_preview(
    customer=customer.id,
    subscription=subscription.id,
    subscription_details={"items": [{"id": item.id, "price": large.id}]},
)
assert preview.total != 0
changed = stripe.Subscription.modify(
    subscription.id,
    items=[{"id": item.id, "price": large.id}],
    proration_behavior="always_invoice",
    payment_behavior="pending_if_incomplete",
)
assert changed["items"].data[0].price.id == large.id
session = stripe.checkout.Session.create(
    mode="subscription",
    customer=customer.id,
    line_items=[{"price": small.id, "quantity": 1}, {"price": metered.id}],
    success_url="https://example.com/ok",
)
assert session.status == "open" and session.url
assert stripe.checkout.Session.expire(session.id).status == "expired"

refused(stripe.InvalidRequestError, lambda: stripe.Customer.create(bogus=1))
assert refused(
    stripe.InvalidRequestError, lambda: stripe.Customer.retrieve("cus_no")
).code == "resource_missing"
refused(stripe.AuthenticationError, lambda: stripe.Customer.create(api_key="sk_other"))
refused(
    stripe.IdempotencyError,
    lambda: stripe.Subscription.create(
        customer=customer.id, items=[], idempotency_key=f"sub-{customer.id}"
    ),
)
broke = stripe.PaymentMethod.attach("pm_card_chargeCustomerFail", customer=customer.id)
card = refused(
    stripe.CardError,
    lambda: stripe.PaymentIntent.create(
        amount=500,
        currency="usd",
        customer=customer.id,
        payment_method=broke.id,
        confirm=True,
        off_session=True,
    ),
)
assert card.code == "card_declined", card.code

invoices = list(stripe.Invoice.list(customer=customer.id, limit=1).auto_paging_iter())
assert len(invoices) >= 2, len(invoices)
ended = stripe.Subscription.cancel(subscription.id, invoice_now=True, prorate=True)
assert ended.status == "canceled"
kinds = {event.type for event in stripe.Event.list(limit=100).auto_paging_iter()}
assert {"customer.subscription.created", "customer.subscription.deleted"} <= kinds, kinds
print("python: done")
