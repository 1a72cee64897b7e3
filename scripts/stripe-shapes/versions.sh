# The tools, pinned in this one place; sourced by the scripts beside it.

# Validates requests against Stripe's own specification. Its tag stands for one version of the API, newer than ours.
STRIPE_MOCK=0.203.0
# The official SDK whose types are exactly those of 2026-01-28.clover, the version that bursar speaks.
STRIPE_NODE=20.3.1
STRIPE_PYTHON=14.3.0
# The official command line, as npm carries it.
STRIPE_CLI=1.52.0
TS_JSON_SCHEMA_GENERATOR=2.4.0
TYPESCRIPT=5.6.3
AJV=8.17.1
QS=6.13.1
