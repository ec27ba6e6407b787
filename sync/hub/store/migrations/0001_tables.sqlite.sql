-- The tables of the hub's store. UNIQUE (dev, epoch, seq) is the whole of "nothing twice": a batch may come
-- any number of times. 0001_tables.postgres.sql has the same tables; a test compares the two.
CREATE TABLE stream (          -- one numbering of events
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  acked_through INTEGER NOT NULL DEFAULT 0,  -- every seq up to this one is in event
  PRIMARY KEY (dev, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  ts INTEGER NOT NULL,
  ts_trust TEXT NOT NULL,
  body TEXT NOT NULL,                        -- JSON
  received_s INTEGER NOT NULL,
  refused TEXT,                              -- why it has no effect; it is kept all the same
  PRIMARY KEY (dev, epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_refused ON event (dev, epoch, seq) WHERE refused IS NOT NULL;
CREATE TABLE clash (           -- another event under a number that is taken: two devices, one identity
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  event TEXT NOT NULL,                       -- JSON, whole
  received_s INTEGER NOT NULL,
  PRIMARY KEY (dev, epoch, seq, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE redemption (      -- what devices honoured
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  use_no INTEGER NOT NULL,                   -- the number of it in the device's store; a new store begins with 1
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  units INTEGER NOT NULL,
  amount_minor INTEGER,
  ts INTEGER NOT NULL,
  id TEXT NOT NULL,                          -- of the event that first reported it
  PRIMARY KEY (cti, dev, epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE reversal (        -- and took back; it may come before what it names
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  redemption_id TEXT NOT NULL,
  epoch TEXT NOT NULL,                       -- of the event that reversed it
  seq INTEGER NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE reviewed (        -- what a device said of a review; it may come before what it names
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  redemption_id TEXT NOT NULL,
  ts INTEGER NOT NULL,
  state TEXT NOT NULL,                       -- approved | rejected | void
  by_whom TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE review (          -- honoured, and waits for a second person; what the platform's decided
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  dev TEXT NOT NULL,
  cti BLOB NOT NULL,
  epoch TEXT NOT NULL,                       -- of the event that told the redemption
  seq INTEGER NOT NULL,
  approve INTEGER,                           -- null: nobody at the platform has decided
  decided_by TEXT,
  reason TEXT,
  decided_s INTEGER,
  raw BLOB,                                  -- the decision as its maker signed it
  arrived INTEGER NOT NULL DEFAULT 0,        -- 1: the device has said that it is decided, or that it has no such thing
  refused TEXT,                              -- why the device did not take the last decision
  UNIQUE (dev, epoch, seq)
) STRICT;
CREATE INDEX review_of ON review (dev, cti);
CREATE INDEX review_undelivered ON review (dev, no) WHERE approve IS NOT NULL AND arrived = 0;
CREATE TABLE conflict (        -- one row for each device concerned
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  dev TEXT NOT NULL,
  cti BLOB NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  other_dev TEXT NOT NULL,
  other_epoch TEXT NOT NULL,
  other_seq INTEGER NOT NULL,
  other_ts INTEGER NOT NULL,
  found_s INTEGER NOT NULL,
  told INTEGER NOT NULL DEFAULT 0,           -- the device has said that it knows
  UNIQUE (dev, epoch, seq, other_dev, other_epoch, other_seq)
) STRICT;
CREATE INDEX conflict_untold ON conflict (dev, no) WHERE told = 0;
CREATE TABLE feed (            -- the order feed of a site
  site TEXT PRIMARY KEY,
  head INTEGER NOT NULL,                     -- its newest revision
  digest BLOB NOT NULL                       -- over all its rows (sync.wire.order_feed)
) STRICT, WITHOUT ROWID;
CREATE TABLE entitlement (
  cti BLOB PRIMARY KEY,
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,                 -- of its last change
  created INTEGER NOT NULL,                  -- the revision with which it came to its site
  line TEXT NOT NULL                         -- JSON, as imported
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entitlement_feed ON entitlement (site, revision);
CREATE INDEX entitlement_page ON entitlement (site, cti);
CREATE TABLE departed (        -- rows that a site had and has no longer
  site TEXT NOT NULL,
  cti BLOB NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (site, cti)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot_page (   -- where each page of a snapshot begins
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,
  page INTEGER NOT NULL,
  first_cti BLOB NOT NULL,
  PRIMARY KEY (site, revision, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE held (            -- leave given to a device, of which nothing was heard since
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  id TEXT NOT NULL,                          -- of the claim; its redemption names it
  quantity INTEGER NOT NULL,
  epoch TEXT NOT NULL,                       -- of the device's store
  no INTEGER NOT NULL,                       -- of the claim in that store
  PRIMARY KEY (cti, dev, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_by ON held (dev, epoch, no);
CREATE TABLE lease (           -- who has authority over a site's entitlements in the platform's place
  site TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  term INTEGER NOT NULL,                     -- grows with each lease that is no renewal
  until_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE identity (        -- the epochs in which a device has said that it is there
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  first_s INTEGER NOT NULL,
  PRIMARY KEY (dev, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE status (          -- what each device last said of itself
  dev TEXT PRIMARY KEY,
  status TEXT NOT NULL,                      -- JSON
  received_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
