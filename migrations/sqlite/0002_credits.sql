-- Prepaid credits: wallets, what is in them, and every movement.
--
-- Amounts are micro-units of the wallet's credit unit.

-- What stands in wallets: one table for all kinds of rows, so that what a use changes stands together and is one page to
-- write. The views below say what each kind has. No index knows a column that changes with every use.
CREATE TABLE books (
    customer_no INTEGER NOT NULL,
    subaccount  TEXT NOT NULL,    -- '': the customer's own
    unit        TEXT NOT NULL,
    kind        INTEGER NOT NULL, -- 0 wallet, 1 grant, 2 hold, 3 draw
    id          TEXT NOT NULL,    -- '' for a wallet; feature and start of the period for a draw
    state       INTEGER NOT NULL, -- 0 open; a draw is 1
    due_time    INTEGER,          -- from when on there is something to do while it is open; the end of a draw's period
    change_time INTEGER,
    end_time    INTEGER,          -- when a hold ended, or a grant that is spent changed last
    number      INTEGER,
    receivable  INTEGER CHECK (receivable >= 0),
    places      TEXT,
    amount      INTEGER,
    used        INTEGER CHECK (used >= 0),
    held        INTEGER CHECK (held >= 0),
    lapsed      INTEGER CHECK (lapsed >= 0),
    payment     TEXT,
    body        TEXT NOT NULL,    -- JSON: what has no column
    PRIMARY KEY (customer_no, subaccount, unit, kind, id),
    CHECK (used + held + lapsed <= amount),
    CHECK (kind <> 0 OR (number IS NOT NULL AND receivable IS NOT NULL AND places IS NOT NULL)),
    CHECK (kind <> 1 OR (amount IS NOT NULL AND used IS NOT NULL AND held IS NOT NULL AND lapsed IS NOT NULL)),
    CHECK (kind <> 1 OR change_time IS NOT NULL),
    CHECK (kind NOT IN (1, 2) OR (state = 0) = (end_time IS NULL)),
    CHECK (kind IN (0, 1) OR due_time IS NOT NULL)
) WITHOUT ROWID;
CREATE INDEX books_open ON books (customer_no, kind) WHERE state = 0;
CREATE INDEX books_due ON books (due_time) WHERE state = 0 AND due_time IS NOT NULL;
CREATE UNIQUE INDEX grants_by_id ON books (customer_no, id) WHERE kind = 1;
-- What was paid once brings credits once.
CREATE UNIQUE INDEX grants_by_payment ON books (customer_no, payment) WHERE payment IS NOT NULL;
CREATE INDEX grants_spent ON books (customer_no, end_time) WHERE kind = 1 AND state <> 0;
CREATE INDEX holds_ended ON books (end_time) WHERE kind = 2 AND state <> 0;

CREATE VIEW wallets AS SELECT customer_no, subaccount, unit,
    number,               -- of the newest transaction of its ledger; 0: none
    receivable,
    body AS terms,        -- JSON: what was set for it
    due_time,             -- what the terms say of it; NULL: nothing is due
    places                -- JSON: where its newest transactions stand in the ledger
    FROM books WHERE kind = 0;

-- Credits that came at once.
CREATE VIEW grants AS SELECT customer_no, id, subaccount, unit, amount, used, held, lapsed,
    payment,              -- source and reference, where it brought money
    change_time,
    due_time AS expire_time,
    state = 0 AS is_open, -- whether something is left, set aside or not
    body
    FROM books WHERE kind = 1;

-- Credits that are set aside, or were. Pools, which hold for the reservations of a feature, bear its name in every wallet.
CREATE VIEW holds AS SELECT customer_no, id, subaccount, unit,
    state,                -- 0 open, 1 captured, 2 released, 3 expired
    due_time AS expire_time,
    end_time,
    body
    FROM books WHERE kind = 2;

-- What usage of a feature drew on wallets in a billing period; of no wallet, since it may draw on several.
CREATE VIEW draws AS SELECT customer_no,
    json_extract(body, '$.feature') AS feature,
    json_extract(body, '$.period.start') AS period_start,
    due_time AS period_end,
    body
    FROM books WHERE kind = 3;

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

-- What an event drew on a wallet, as JSON; NULL: nothing.
ALTER TABLE events ADD COLUMN charge TEXT;

-- Answers as they come, so that one is added where the one before it was; the key finds them by small rows of its own. A
-- row of a table that is its own key may fill a quarter of a page, beyond that it takes a page more.
CREATE TABLE answers_by_place (
    place   INTEGER PRIMARY KEY,
    caller  TEXT NOT NULL,
    method  TEXT NOT NULL,
    request TEXT NOT NULL,
    content BLOB NOT NULL,
    answer  TEXT NOT NULL,
    time    INTEGER NOT NULL,
    UNIQUE (caller, method, request)
);
INSERT INTO answers_by_place (caller, method, request, content, answer, time)
    SELECT caller, method, request, content, answer, time FROM answers ORDER BY time;
DROP TABLE answers;
ALTER TABLE answers_by_place RENAME TO answers;
