-- What bursar remembers, first version.
--
-- Times are microseconds since 1970 (UTC), amounts thousandths of a meter's unit. Tables whose key is what they
-- are read by have no rowid, so that a row is found in one tree.

-- Facts about the store itself: epoch, incarnation.
CREATE TABLE store (
    name  TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE customers (
    no           INTEGER PRIMARY KEY,
    id           TEXT NOT NULL UNIQUE,
    body         TEXT NOT NULL, -- JSON; personal data stands only here
    subscription TEXT,          -- JSON
    tracked      TEXT NOT NULL, -- JSON array of counter_specs.no
    deleted      INTEGER NOT NULL
);

CREATE TABLE subaccounts (
    customer_no INTEGER NOT NULL,
    id          TEXT NOT NULL,
    body        TEXT NOT NULL, -- JSON
    tracked     TEXT NOT NULL, -- JSON array of counter_specs.no
    PRIMARY KEY (customer_no, id)
) WITHOUT ROWID;

CREATE TABLE meters (
    no INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
);

CREATE TABLE counter_specs (
    no   INTEGER PRIMARY KEY,
    spec TEXT NOT NULL UNIQUE -- JSON
);

-- Its own key table: an id that is a canonical UUID is a 16-byte BLOB, any other TEXT. Time-ordered ids append.
-- Columns that mostly repeat another or hold nothing are NULL then.
CREATE TABLE events (
    event_id    BLOB NOT NULL,
    customer_no INTEGER NOT NULL,
    kind        INTEGER NOT NULL, -- 0 usage, 1 void
    meter_no    INTEGER NOT NULL,
    quantity    INTEGER NOT NULL,
    weighted    INTEGER NOT NULL,
    count_time  INTEGER NOT NULL,
    event_time  INTEGER,          -- NULL: count_time
    record_time INTEGER,          -- NULL: count_time
    flags       INTEGER NOT NULL, -- 1 reservation closed, 2 beyond reservation, 4 the sender stated event_time
    subaccount  TEXT,
    dimensions  TEXT,             -- JSON
    metadata    TEXT,             -- JSON
    reservation TEXT,
    PRIMARY KEY (event_id, customer_no, kind)
) WITHOUT ROWID;

-- Events by customer and time. An index on (customer, time) would scatter every insert over the whole file, one
-- on (time, customer) would make each customer's reads pay for everybody's events. So events are noted by
-- segment: a run of commits, closed by size and age, of which the span of count times is known.
CREATE TABLE segments (
    no          INTEGER PRIMARY KEY,
    first_count INTEGER NOT NULL, -- earliest count time in it
    last_count  INTEGER NOT NULL, -- latest count time in it
    events      INTEGER NOT NULL
);
CREATE INDEX segments_by_last_count ON segments (last_count);

CREATE TABLE segment_events (
    segment     INTEGER NOT NULL,
    customer_no INTEGER NOT NULL,
    part        INTEGER NOT NULL, -- one per commit
    keys        BLOB NOT NULL,    -- event keys, packed
    PRIMARY KEY (segment, customer_no, part)
) WITHOUT ROWID;

CREATE TABLE counters (
    customer_no INTEGER NOT NULL,
    subaccount  TEXT NOT NULL,    -- '': the customer's own
    spec_no     INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    end         INTEGER NOT NULL,
    used        INTEGER NOT NULL CHECK (typeof(used) = 'integer'),
    reserved    INTEGER NOT NULL CHECK (typeof(reserved) = 'integer'),
    ring        BLOB,             -- rolling windows: buckets, packed; used is 0 then
    PRIMARY KEY (customer_no, subaccount, spec_no, start)
) WITHOUT ROWID;

-- What a counter holds of events that are no longer stored; apart, so that counters can be replaced whole.
CREATE TABLE counters_dropped (
    customer_no INTEGER NOT NULL,
    subaccount  TEXT NOT NULL,
    spec_no     INTEGER NOT NULL,
    start       INTEGER NOT NULL,
    dropped     INTEGER NOT NULL CHECK (typeof(dropped) = 'integer'),
    PRIMARY KEY (customer_no, subaccount, spec_no, start)
) WITHOUT ROWID;

CREATE TABLE rollups (
    customer_no  INTEGER NOT NULL,
    meter_no     INTEGER NOT NULL,
    hour         INTEGER NOT NULL,
    subaccount   TEXT NOT NULL,   -- '': none
    dimensions   TEXT NOT NULL,   -- JSON; '': none; '*': combinations beyond the cap
    count        INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
    sum          INTEGER NOT NULL CHECK (typeof(sum) = 'integer'),
    max          INTEGER,
    latest_time  INTEGER,
    latest       INTEGER,
    PRIMARY KEY (customer_no, meter_no, hour, subaccount, dimensions)
) WITHOUT ROWID;

CREATE TABLE reservations (
    customer_no  INTEGER NOT NULL,
    id           TEXT NOT NULL,
    subaccount   TEXT,
    holder       TEXT NOT NULL,
    metadata     TEXT,             -- JSON
    items        TEXT NOT NULL,    -- JSON
    reserve_time INTEGER NOT NULL,
    expire_time  INTEGER NOT NULL,
    state        INTEGER NOT NULL, -- 0 open, 1 committed, 2 released, 3 expired
    end_time     INTEGER,
    PRIMARY KEY (customer_no, id)
) WITHOUT ROWID;
CREATE INDEX reservations_by_time ON reservations (customer_no, reserve_time);
CREATE INDEX reservations_open ON reservations (customer_no) WHERE state = 0;
CREATE INDEX reservations_due ON reservations (expire_time) WHERE state = 0;

CREATE TABLE allocations (
    customer_no INTEGER NOT NULL,
    feature     TEXT NOT NULL,
    id          TEXT NOT NULL,
    body        TEXT NOT NULL, -- JSON
    PRIMARY KEY (customer_no, feature, id)
) WITHOUT ROWID;

CREATE TABLE overrides (
    customer_no INTEGER NOT NULL,
    feature     TEXT NOT NULL,
    subaccount  TEXT NOT NULL, -- '': the customer as a whole
    body        TEXT NOT NULL, -- JSON
    PRIMARY KEY (customer_no, feature, subaccount)
) WITHOUT ROWID;

CREATE TABLE adjustments (
    customer_no INTEGER PRIMARY KEY,
    body        TEXT NOT NULL -- JSON array
);

CREATE TABLE answers (
    caller  TEXT NOT NULL,
    method  TEXT NOT NULL,
    request TEXT NOT NULL,
    content BLOB NOT NULL,
    answer  TEXT NOT NULL,
    time    INTEGER NOT NULL,
    PRIMARY KEY (caller, method, request)
) WITHOUT ROWID;
CREATE INDEX answers_by_time ON answers (time);

CREATE TABLE denials (
    customer TEXT NOT NULL, -- its id: it may be unknown
    minute   INTEGER NOT NULL,
    feature  TEXT NOT NULL,
    reason   TEXT NOT NULL,
    count    INTEGER NOT NULL CHECK (typeof(count) = 'integer'),
    sample   TEXT NOT NULL,
    PRIMARY KEY (customer, minute, feature, reason)
) WITHOUT ROWID;

CREATE TABLE catalogs (
    version    INTEGER PRIMARY KEY,
    catalog    TEXT NOT NULL, -- JSON
    source     TEXT NOT NULL,
    apply_time INTEGER NOT NULL
);

-- One row per commit: the mark that makes it repeatable, and a chain over what was stored.
CREATE TABLE batches (
    seq       INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    events    INTEGER NOT NULL, -- events stored
    customers INTEGER NOT NULL, -- customers whose events were stored
    prev_hash BLOB NOT NULL,
    hash      BLOB NOT NULL,
    UNIQUE (epoch, number)
);
