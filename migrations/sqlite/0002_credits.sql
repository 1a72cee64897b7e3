-- Prepaid credits: wallets, what is in them, and every movement.
--
-- Amounts are micro-units of the wallet's credit unit.

CREATE TABLE wallets (
    customer_no INTEGER NOT NULL,
    subaccount  TEXT NOT NULL,    -- '': the customer's own
    unit        TEXT NOT NULL,
    number      INTEGER NOT NULL, -- of the newest transaction of its ledger; 0: none
    receivable  INTEGER NOT NULL CHECK (receivable >= 0),
    terms       TEXT NOT NULL,    -- JSON: what was set for it
    due_time    INTEGER,          -- what the terms say of it; NULL: nothing is due
    places      TEXT NOT NULL,    -- JSON: where its newest transactions stand in the ledger
    PRIMARY KEY (customer_no, subaccount, unit)
) WITHOUT ROWID;
CREATE INDEX wallets_due ON wallets (due_time) WHERE due_time IS NOT NULL;

-- Credits that came at once. No index knows a column that changes with every use: while a grant is open, its row alone
-- is written.
CREATE TABLE grants (
    customer_no INTEGER NOT NULL,
    id          TEXT NOT NULL,
    subaccount  TEXT NOT NULL,
    unit        TEXT NOT NULL,
    amount      INTEGER NOT NULL,
    used        INTEGER NOT NULL CHECK (used >= 0),
    held        INTEGER NOT NULL CHECK (held >= 0),
    lapsed      INTEGER NOT NULL CHECK (lapsed >= 0),
    payment     TEXT,             -- source and reference, where it brought money
    change_time INTEGER NOT NULL,
    expire_time INTEGER,
    is_open     INTEGER NOT NULL, -- whether something is left, set aside or not
    body        TEXT NOT NULL,    -- JSON: the rest of it
    PRIMARY KEY (customer_no, id),
    CHECK (used + held + lapsed <= amount)
) WITHOUT ROWID;
-- What was paid once brings credits once.
CREATE UNIQUE INDEX grants_by_payment ON grants (customer_no, payment) WHERE payment IS NOT NULL;
CREATE INDEX grants_open ON grants (customer_no) WHERE is_open = 1;
CREATE INDEX grants_spent ON grants (customer_no, change_time) WHERE is_open = 0;
CREATE INDEX grants_due ON grants (expire_time) WHERE is_open = 1 AND expire_time IS NOT NULL;

-- Credits that are set aside, or were. Pools, which hold for the reservations of a feature, bear its name in every wallet.
CREATE TABLE holds (
    customer_no INTEGER NOT NULL,
    id          TEXT NOT NULL,
    subaccount  TEXT NOT NULL,
    unit        TEXT NOT NULL,
    state       INTEGER NOT NULL, -- 0 open, 1 captured, 2 released, 3 expired
    expire_time INTEGER NOT NULL,
    end_time    INTEGER,
    body        TEXT NOT NULL,    -- JSON: the rest of it
    PRIMARY KEY (customer_no, id, subaccount, unit)
) WITHOUT ROWID;
CREATE INDEX holds_open ON holds (customer_no) WHERE state = 0;
CREATE INDEX holds_due ON holds (expire_time) WHERE state = 0;
CREATE INDEX holds_ended ON holds (end_time) WHERE state <> 0;

-- What moved, numbered for each wallet from 1 without gaps. Rows are appended as they come and never changed: in an order
-- by wallet each would be on a page of its own to write. A wallet finds its own by their places: `wallets.places` says
-- where its newest is, and each says where others before it are.
CREATE TABLE ledger (
    place       INTEGER PRIMARY KEY,
    customer_no INTEGER NOT NULL,
    subaccount  TEXT NOT NULL,
    unit        TEXT NOT NULL,
    number      INTEGER NOT NULL,
    time        INTEGER NOT NULL,
    cause       TEXT NOT NULL,
    body        TEXT NOT NULL,    -- JSON: entries, and what it was about
    available   INTEGER NOT NULL, -- what the wallet held after it
    held        INTEGER NOT NULL,
    receivable  INTEGER NOT NULL,
    prev        INTEGER,          -- place of the number before; NULL: it is the first
    back        INTEGER           -- place of the number without its lowest bit, as 8 is for 12; NULL: that is 0
);

-- What usage of a feature drew on wallets in a billing period.
CREATE TABLE draws (
    customer_no  INTEGER NOT NULL,
    feature      TEXT NOT NULL,
    period_start INTEGER NOT NULL,
    period_end   INTEGER NOT NULL,
    body         TEXT NOT NULL,   -- JSON
    PRIMARY KEY (customer_no, feature, period_start)
) WITHOUT ROWID;

-- What an event drew on a wallet, as JSON; NULL: nothing.
ALTER TABLE events ADD COLUMN charge TEXT;
