-- Prepaid credits: wallets, what is in them, and all that ever moved.
--
-- Amounts of credits are micro-units of the credit unit. Rows that most batches change leave room in their pages, and no
-- column that changes with each of them stands in an index: then a row changes in place.

-- A customer's wallets and those of its subaccounts.
CREATE TABLE wallets (
    customer_id text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- '': the customer's own
    unit        text COLLATE "C" NOT NULL, -- the credit unit
    number      bigint NOT NULL,           -- of the newest transaction of its ledger; 0: none yet
    receivable  bigint NOT NULL CHECK (receivable >= 0), -- what is owed
    terms       text NOT NULL,             -- JSON: cap, automatic top-up, what was included
    due_time    bigint,                    -- what the terms say of it; NULL: nothing is due
    PRIMARY KEY (customer_id, subaccount, unit)
) WITH (fillfactor = 70);
CREATE INDEX wallets_due ON wallets (due_time) WHERE due_time IS NOT NULL;

-- Credits that came at once.
CREATE TABLE grants (
    customer_id text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- with unit: whose wallet they are in
    unit        text COLLATE "C" NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    used        bigint NOT NULL CHECK (used >= 0),
    held        bigint NOT NULL CHECK (held >= 0),
    lapsed      bigint NOT NULL CHECK (lapsed >= 0),
    payment     text COLLATE "C",          -- source and reference of the payment; its hash when it is too long
    change_time bigint NOT NULL,
    expire_time bigint,                    -- NULL: never
    is_open     boolean NOT NULL GENERATED ALWAYS AS (used + lapsed < amount) STORED, -- something is left or held
    spent_time  bigint NOT NULL GENERATED ALWAYS AS ( -- when it last changed, once nothing is left
        CASE WHEN used + lapsed < amount THEN 9223372036854775807 ELSE change_time END) STORED,
    body        text NOT NULL,             -- JSON: the rest
    PRIMARY KEY (customer_id, id),
    CHECK (used + held + lapsed <= amount)
) WITH (fillfactor = 70);
-- What was paid once brings credits once.
CREATE UNIQUE INDEX grants_by_payment ON grants (customer_id, payment) WHERE payment IS NOT NULL;
-- Leads to those that are not forgotten.
CREATE INDEX grants_known ON grants (customer_id, spent_time);
CREATE INDEX grants_due ON grants (expire_time) WHERE is_open AND expire_time IS NOT NULL;

-- Credits that are set aside, or were.
CREATE TABLE holds (
    customer_id text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- with unit: whose wallet they are in
    unit        text COLLATE "C" NOT NULL,
    state       smallint NOT NULL,         -- 0 open, 1 captured, 2 released, 3 expired
    expire_time bigint NOT NULL,
    end_time    bigint,
    body        text NOT NULL,             -- JSON: the rest
    -- What the reservations of a feature hold is named by the feature, in each wallet that it draws on.
    PRIMARY KEY (customer_id, id, subaccount, unit)
) WITH (fillfactor = 70);
CREATE INDEX holds_open ON holds (customer_id) WHERE state = 0;
CREATE INDEX holds_due ON holds (expire_time) WHERE state = 0;
CREATE INDEX holds_ended ON holds (end_time) WHERE state <> 0;

-- What moved and why, numbered for each wallet from 1 without gaps. Rows are added and never changed. No index by time:
-- it rises with the number.
CREATE TABLE ledger (
    customer_id text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL,
    unit        text COLLATE "C" NOT NULL,
    number      bigint NOT NULL,
    time        bigint NOT NULL,
    cause       text COLLATE "C" NOT NULL,
    body        text NOT NULL,             -- JSON: the entries, which sum to zero, and what they are about
    available   bigint NOT NULL,           -- what the wallet held after it
    held        bigint NOT NULL,
    receivable  bigint NOT NULL,
    PRIMARY KEY (customer_id, subaccount, unit, number)
);

-- What usage of a feature drew on wallets in a billing period.
CREATE TABLE draws (
    customer_id  text COLLATE "C" NOT NULL,
    feature      text COLLATE "C" NOT NULL,
    period_start bigint NOT NULL,
    period_end   bigint NOT NULL,
    body         text NOT NULL,            -- JSON
    PRIMARY KEY (customer_id, feature, period_start)
) WITH (fillfactor = 70);

-- What an event drew on a wallet: JSON; NULL: nothing.
ALTER TABLE events ADD COLUMN charge text;
