-- Dealings with Stripe: one table for all kinds of documents, with a view for each. `due_time` says from when on there is
-- something to do about a row; NULL: nothing is. It is no table of a customer's: what came from Stripe may be nobody's yet.
CREATE TABLE billing (
    kind        TEXT NOT NULL,
    id          TEXT NOT NULL,
    customer    TEXT,             -- whose; NULL: nobody's, or not known yet
    state       TEXT NOT NULL,
    due_time    INT8,
    create_time INT8 NOT NULL,
    body        TEXT NOT NULL,    -- JSON
    PRIMARY KEY (kind, id)
);
CREATE INDEX billing_due ON billing (kind, due_time, id) WHERE due_time IS NOT NULL;
CREATE INDEX billing_newest ON billing (kind, create_time, id);
CREATE INDEX billing_of_customer ON billing (kind, customer, create_time, id) WHERE customer IS NOT NULL;

CREATE VIEW payers AS SELECT id AS stripe_customer_id, customer, create_time, body FROM billing WHERE kind = 'payer';
CREATE VIEW tabs AS SELECT id, customer, due_time, create_time, body FROM billing WHERE kind = 'tab';
CREATE VIEW chunks AS SELECT id, customer, state, due_time, create_time, body FROM billing WHERE kind = 'chunk';
CREATE VIEW webhooks AS SELECT id AS event_id, customer, state, due_time, create_time, body
    FROM billing WHERE kind = 'webhook';
CREATE VIEW payments AS SELECT id, customer, state, due_time, create_time, body FROM billing WHERE kind = 'payment';
CREATE VIEW invoices AS SELECT id, customer, state, create_time, body FROM billing WHERE kind = 'invoice';
CREATE VIEW stripe_prices AS SELECT id, state, create_time, body FROM billing WHERE kind = 'price';
