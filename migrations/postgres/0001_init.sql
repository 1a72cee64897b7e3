-- What bursar remembers, first version.
--
-- Times are microseconds since 1970 (UTC), amounts thousandths of a meter's unit, JSON is text: jsonb would write it
-- anew. Ids are compared byte for byte. Every unique key of a table that belongs to customers holds customer_id, so
-- that a database which is distributed by it can carry the tables.

-- Facts about the store itself.
CREATE TABLE store (
    one         smallint PRIMARY KEY CHECK (one = 1),
    epoch       bigint NOT NULL, -- how often it was opened
    trimmed     bigint NOT NULL, -- the latest instant that a trim was asked for
    incarnation text NOT NULL    -- names this life of the database
);
INSERT INTO store VALUES (1, 0, 0, substr(replace(gen_random_uuid()::text, '-', ''), 17));

-- Room is left in its pages: each batch that touches a customer raises its version.
CREATE TABLE customers (
    customer_id  text COLLATE "C" PRIMARY KEY,
    no           bigint GENERATED ALWAYS AS IDENTITY,
    version      bigint NOT NULL,
    body         text NOT NULL, -- JSON; personal data stands only here
    subscription text,          -- JSON
    tracked      text NOT NULL, -- JSON array of counter specs
    deleted      boolean NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX customers_by_no ON customers (no);

CREATE TABLE subaccounts (
    customer_id text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    body        text NOT NULL, -- JSON
    tracked     text NOT NULL, -- JSON array of counter specs
    PRIMARY KEY (customer_id, id)
);

-- Each event id once. Time-ordered ids append; the day and the count time lead to the row.
CREATE TABLE event_keys (
    event_id    text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    kind        smallint NOT NULL, -- 0 usage, 1 void
    day         integer NOT NULL,
    count_time  bigint NOT NULL,
    PRIMARY KEY (event_id, customer_id, kind)
) PARTITION BY HASH (customer_id);
CREATE TABLE event_keys_00 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 0);
CREATE TABLE event_keys_01 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 1);
CREATE TABLE event_keys_02 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 2);
CREATE TABLE event_keys_03 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 3);
CREATE TABLE event_keys_04 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 4);
CREATE TABLE event_keys_05 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 5);
CREATE TABLE event_keys_06 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 6);
CREATE TABLE event_keys_07 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 7);
CREATE TABLE event_keys_08 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 8);
CREATE TABLE event_keys_09 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 9);
CREATE TABLE event_keys_10 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 10);
CREATE TABLE event_keys_11 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 11);
CREATE TABLE event_keys_12 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 12);
CREATE TABLE event_keys_13 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 13);
CREATE TABLE event_keys_14 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 14);
CREATE TABLE event_keys_15 PARTITION OF event_keys FOR VALUES WITH (MODULUS 16, REMAINDER 15);

-- The events themselves, one partition per day of receipt, made when it is first needed and dropped when it is empty.
-- An event that counts more than a day after its receipt stands a day before the one it counts in, so that the days
-- before a range hold nothing of it. Columns that mostly repeat another or hold nothing are NULL then.
CREATE TABLE events (
    day         integer NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    kind        smallint NOT NULL,
    meter       text COLLATE "C" NOT NULL,
    quantity    bigint NOT NULL,
    weighted    bigint NOT NULL,
    count_time  bigint NOT NULL,
    event_time  bigint,           -- NULL: count_time
    record_time bigint,           -- NULL: count_time
    flags       smallint NOT NULL, -- 1 reservation closed, 2 beyond reservation, 4 the sender stated event_time
    subaccount  text COLLATE "C",
    dimensions  text COLLATE "C", -- JSON
    metadata    text,             -- JSON
    reservation text COLLATE "C"
) PARTITION BY RANGE (day);
-- Serves a customer's events by count time, and the event that a key leads to. Not unique: the keys are.
CREATE INDEX events_by_time ON events (customer_id, count_time, event_id, kind);

-- The partitions of events, so that retention looks only where something may go.
CREATE TABLE event_days (
    day         integer PRIMARY KEY,
    first_count bigint NOT NULL -- no event of it counts earlier
);

CREATE TABLE counters (
    customer_id text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- '': the customer's own
    spec        text COLLATE "C" NOT NULL, -- JSON; its hash when it is too long for an index
    start_time  bigint NOT NULL,
    end_time    bigint NOT NULL,
    used        bigint NOT NULL,
    reserved    bigint NOT NULL,
    ring        bytea,                     -- rolling windows: buckets, packed; used is 0 then
    dropped     bigint NOT NULL DEFAULT 0, -- the part of used whose events are no longer stored
    long_spec   text,                      -- the JSON where spec is a hash
    PRIMARY KEY (customer_id, subaccount, spec, start_time)
) WITH (fillfactor = 70);
CREATE INDEX counters_by_end ON counters (end_time);

CREATE TABLE rollups (
    customer_id text COLLATE "C" NOT NULL,
    meter       text COLLATE "C" NOT NULL,
    hour        bigint NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- '': none
    dimensions  text COLLATE "C" NOT NULL, -- JSON, or its hash; '': none; '*': combinations beyond the cap
    long_dimensions text,                  -- the JSON where dimensions is a hash
    count       bigint NOT NULL,
    sum         bigint NOT NULL,
    max         bigint,
    latest_time bigint,
    latest      bigint,
    PRIMARY KEY (customer_id, meter, hour, subaccount, dimensions)
) WITH (fillfactor = 70);

CREATE TABLE reservations (
    customer_id  text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    subaccount   text COLLATE "C",
    holder       text COLLATE "C" NOT NULL,
    metadata     text,              -- JSON
    items        text NOT NULL,     -- JSON
    reserve_time bigint NOT NULL,
    expire_time  bigint NOT NULL,
    state        smallint NOT NULL, -- 0 open, 1 committed, 2 released, 3 expired
    end_time     bigint,
    PRIMARY KEY (customer_id, id)
);
CREATE INDEX reservations_by_time ON reservations (customer_id, reserve_time);
CREATE INDEX reservations_open ON reservations (customer_id) WHERE state = 0;
CREATE INDEX reservations_due ON reservations (expire_time) WHERE state = 0;
CREATE INDEX reservations_ended ON reservations (end_time) WHERE state <> 0;

CREATE TABLE allocations (
    customer_id text COLLATE "C" NOT NULL,
    feature     text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C",
    body        text NOT NULL, -- JSON
    PRIMARY KEY (customer_id, feature, id)
);

CREATE TABLE overrides (
    customer_id text COLLATE "C" NOT NULL,
    feature     text COLLATE "C" NOT NULL,
    subaccount  text COLLATE "C" NOT NULL, -- '': the customer as a whole
    body        text NOT NULL, -- JSON
    PRIMARY KEY (customer_id, feature, subaccount)
);

CREATE TABLE adjustments (
    customer_id text COLLATE "C" PRIMARY KEY,
    body        text NOT NULL -- JSON array
);

CREATE TABLE denials (
    customer_id text COLLATE "C" NOT NULL, -- it may be unknown
    minute      bigint NOT NULL,
    feature     text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    count       bigint NOT NULL,
    sample      text NOT NULL,
    PRIMARY KEY (customer_id, minute, feature, reason)
);
CREATE INDEX denials_by_minute ON denials (minute);

-- Not a customer's: an answer is found by who asked.
CREATE TABLE answers (
    caller  text COLLATE "C" NOT NULL,
    method  text COLLATE "C" NOT NULL,
    request text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    answer  text NOT NULL,
    time    bigint NOT NULL,
    PRIMARY KEY (caller, method, request)
);
CREATE INDEX answers_by_time ON answers (time);

CREATE TABLE catalogs (
    version    bigint PRIMARY KEY,
    catalog    text NOT NULL, -- JSON
    source     text NOT NULL,
    apply_time bigint NOT NULL
);

-- One row per life of a committer: a process takes a new one for each of its committers when it starts, and when it
-- cannot tell what became of a batch. The row is locked by each of its batches, so that one commits after the other.
CREATE TABLE committers (
    epoch      bigint PRIMARY KEY,
    process    text NOT NULL,    -- the same for all committers of a process
    committer  smallint NOT NULL, -- which of the process's ranges of customers
    number     bigint NOT NULL,  -- of the newest batch
    hash       bytea NOT NULL,   -- of the newest batch
    alive_till bigint NOT NULL,  -- from then on others may fence it, unless the process says anew that it is alive
    fenced     boolean NOT NULL  -- it can commit nothing any more
) WITH (fillfactor = 50);

-- One row per commit: the mark that makes it repeatable, what others read to follow, and a chain per epoch over what
-- was stored.
CREATE TABLE batches (
    epoch     bigint NOT NULL,
    number    bigint NOT NULL,
    committer smallint NOT NULL,
    time      bigint NOT NULL,
    events    bigint NOT NULL, -- events stored
    customers text[],          -- customers named; NULL: too many to list
    prev_hash bytea NOT NULL,
    hash      bytea NOT NULL,
    PRIMARY KEY (epoch, number)
);
CREATE INDEX batches_by_time ON batches (time);
