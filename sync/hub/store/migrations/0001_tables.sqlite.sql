-- The tables of the hub's store. The key (dev, epoch, seq) of event is why a batch may come any number of times.
-- 0001_tables.postgres.sql has the same tables; a test compares the two.
CREATE TABLE stream (               -- one numbering of events
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  committed_through INTEGER NOT NULL DEFAULT 0,  -- every seq up to this one is in event
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
  refused TEXT,                              -- why it has no effect
  PRIMARY KEY (dev, epoch, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_refused ON event (dev, epoch, seq, refused, type, id) WHERE refused IS NOT NULL;
CREATE TABLE sequence_conflict (                -- an event whose number another event has: two devices use one identity
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  event TEXT NOT NULL,                       -- JSON, whole
  received_s INTEGER NOT NULL,
  PRIMARY KEY (dev, epoch, seq, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE redemption (           -- what devices redeemed
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  use_no INTEGER NOT NULL,                   -- counts the uses of cti in the device's store; a new store begins with 1
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  units INTEGER NOT NULL,
  amount_minor INTEGER,
  ts INTEGER NOT NULL,
  id TEXT NOT NULL,                          -- of the event that first reported it
  expires_s INTEGER,                         -- Unix seconds, of the code; null: the event did not say
  reversed INTEGER NOT NULL DEFAULT 0,       -- 1: reversal has it
  PRIMARY KEY (cti, dev, epoch, seq),
  UNIQUE (cti, dev, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX redemption_standing ON redemption (cti, dev, ts) WHERE reversed = 0;
CREATE TABLE redemption_alias (     -- another event id by which a device names a redemption, after it sent it again
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  alias TEXT NOT NULL,
  epoch TEXT NOT NULL,                       -- of the event that has the redemption
  seq INTEGER NOT NULL,
  PRIMARY KEY (cti, dev, alias)
) STRICT, WITHOUT ROWID;
CREATE TABLE redeemed_total (       -- the sums of each device's redemptions that are not reversed
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  units INTEGER NOT NULL,
  amount_minor INTEGER NOT NULL,
  PRIMARY KEY (cti, dev)
) STRICT, WITHOUT ROWID;
CREATE INDEX redeemed_by_device ON redeemed_total (dev, cti);
CREATE TABLE reversal (             -- a redemption that was reversed; it may come before the redemption
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  redemption_id TEXT NOT NULL,
  epoch TEXT NOT NULL,                       -- of the event that reversed it
  seq INTEGER NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE review_report (        -- what a device reported of a review; it may come before the redemption
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  redemption_id TEXT NOT NULL,
  ts INTEGER NOT NULL,
  state TEXT NOT NULL,                       -- approved | rejected | void
  decided_by TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE review (               -- a redemption that waits for a second person, and what the platform decided
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  dev TEXT NOT NULL,
  cti BLOB NOT NULL,
  epoch TEXT NOT NULL,                       -- of the event that reported the redemption
  seq INTEGER NOT NULL,
  approve INTEGER,                           -- null: not decided at the platform
  decided_by TEXT,
  reason TEXT,
  decided_s INTEGER,
  raw BLOB,                                  -- the decision as its maker signed it
  closed INTEGER NOT NULL DEFAULT 0,         -- 1: the device reported the outcome, or that it knows no such redemption
  refused TEXT,                              -- why the device did not accept the last decision
  UNIQUE (dev, epoch, seq)
) STRICT;
CREATE INDEX review_of ON review (dev, cti);
CREATE INDEX review_undelivered ON review (dev, no) WHERE approve IS NOT NULL AND closed = 0;
CREATE TABLE conflict (             -- one row for each device concerned
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
  acknowledged INTEGER NOT NULL DEFAULT 0,   -- 1: the device knows of it
  UNIQUE (dev, epoch, seq, other_dev, other_epoch, other_seq)
) STRICT;
CREATE INDEX conflict_open ON conflict (dev, no) WHERE acknowledged = 0;
CREATE TABLE feed (                 -- the order feed of a site
  site TEXT PRIMARY KEY,
  head INTEGER NOT NULL,                     -- its newest revision
  digest BLOB NOT NULL                       -- over all its rows (edge.domain.order_row)
) STRICT, WITHOUT ROWID;
CREATE TABLE entitlement (
  cti BLOB PRIMARY KEY,
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,                 -- of its last change
  created INTEGER NOT NULL,                  -- the revision with which it came to its site
  line TEXT NOT NULL,                        -- JSON, as imported
  size INTEGER NOT NULL                      -- bytes of its row in a page of the feed
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entitlement_feed ON entitlement (site, revision);
CREATE INDEX entitlement_page ON entitlement (site, cti);
CREATE TABLE removed_entitlement (  -- rows that a site had and has no more
  site TEXT NOT NULL,
  cti BLOB NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (site, cti)
) STRICT, WITHOUT ROWID;
CREATE INDEX removed_entitlement_feed ON removed_entitlement (site, revision);
CREATE TABLE snapshot_page (        -- where each page of a snapshot begins
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,
  page INTEGER NOT NULL,
  first_cti BLOB NOT NULL,
  PRIMARY KEY (site, revision, page)
) STRICT, WITHOUT ROWID;
CREATE TABLE open_grant (           -- a grant whose outcome its device did not report yet
  cti BLOB NOT NULL,
  dev TEXT NOT NULL,
  id TEXT NOT NULL,                          -- of the request; its redemption names it
  quantity INTEGER NOT NULL,
  epoch TEXT NOT NULL,                       -- of the device's store
  no INTEGER NOT NULL,                       -- of the request in that store
  PRIMARY KEY (cti, dev, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_grant_number ON open_grant (dev, epoch, no);
CREATE TABLE lease (                -- which site authority decides the grants of a site in the platform's place
  site TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  term INTEGER NOT NULL,                     -- grows with each lease that does not renew the last
  until_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE seen_epoch (           -- the epochs that the statuses of a device named
  dev TEXT NOT NULL,
  epoch TEXT NOT NULL,
  first_s INTEGER NOT NULL,
  PRIMARY KEY (dev, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE device_status (        -- the last status of each device
  dev TEXT PRIMARY KEY,
  status TEXT NOT NULL,                      -- JSON
  received_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE incarnation (          -- the lives of this store; the newest is the present one
  id BLOB PRIMARY KEY,                       -- UUIDv7
  began_s INTEGER NOT NULL,
  by_name TEXT,                              -- who resumed the hub; null: the store was made
  reason TEXT,
  held TEXT                                  -- why it was held before
) STRICT, WITHOUT ROWID;
CREATE TABLE hold (                 -- a row while the hub is held: no orders and no grants
  one INTEGER PRIMARY KEY CHECK (one = 1),
  since_s INTEGER NOT NULL,
  detail TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE history_claim (        -- devices that report more than this store has
  dev TEXT NOT NULL,
  kind TEXT NOT NULL,                        -- orders | events
  numbering TEXT NOT NULL,                   -- the epoch of events, or the incarnation of orders
  through INTEGER NOT NULL,                  -- a revision or an event's number
  detail TEXT NOT NULL,
  reported_s INTEGER NOT NULL,
  accepted INTEGER NOT NULL DEFAULT 0,       -- 1: a person has resumed the hub since
  PRIMARY KEY (dev, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE order_confirmation (   -- a feed that drops orders, and the person who confirmed it
  site TEXT NOT NULL,
  revision INTEGER NOT NULL,
  entries INTEGER NOT NULL,                  -- orders of the feed then
  by_name TEXT NOT NULL,
  reason TEXT NOT NULL,
  confirmed_s INTEGER NOT NULL,
  PRIMARY KEY (site, revision)
) STRICT, WITHOUT ROWID;
