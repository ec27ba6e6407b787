"""The store's tables, and the steps by which ``edge.store.database.migration`` makes them.

``ledger`` is permanent and only ever appended to. ``outbox`` holds the events for the platform.
``restored_redemption`` is what the platform gave back of an earlier store's ledger.
``entitlement`` is a cache of the platform's orders; it refers to nothing that happened here, nor
does that refer to it, so an order's update cannot touch a redemption. ``intent`` is what a lock is
commanded to do, and the outcome.
"""

from __future__ import annotations

from typing import Final

TABLES = """
CREATE TABLE epoch (                       -- a numbering of events; a new store begins a new one
  no INTEGER PRIMARY KEY,
  epoch TEXT NOT NULL UNIQUE,              -- 16 hexadecimal digits, random
  began_s INTEGER NOT NULL,
  why TEXT NOT NULL,                       -- new | quarantined: ... | restored: ...
  acknowledged_through INTEGER NOT NULL DEFAULT 0  -- the platform has every seq up to this one
) STRICT;
CREATE TABLE device (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  device_id TEXT NOT NULL,
  epoch_no INTEGER NOT NULL REFERENCES epoch (no),
  time_floor_s INTEGER NOT NULL,           -- it is at least this late
  blocked TEXT,                            -- why the platform blocked this device, or null
  requests INTEGER NOT NULL DEFAULT 0,     -- number of the last authorisation request; never falls
  floor_order_s INTEGER NOT NULL DEFAULT 0,  -- when the last order to lower the floor was signed
  -- A new store is recovering: what was redeemed before is loaded from the platform.
  restore_after TEXT DEFAULT '',           -- where the next page begins; null: nothing is missing
  lost_s INTEGER DEFAULT 8589934592        -- codes issued before are in doubt; null: none is
) STRICT;
CREATE TABLE outbox (
  epoch_no INTEGER NOT NULL REFERENCES epoch (no),
  seq INTEGER NOT NULL CHECK (seq >= 1),   -- gapless within the epoch
  id TEXT NOT NULL,                        -- UUIDv7
  type TEXT NOT NULL,
  body TEXT NOT NULL,                      -- JSON
  at_s INTEGER NOT NULL,
  trust TEXT NOT NULL,                     -- of the clock that at_s is by
  rejected TEXT,                           -- the platform's reason for refusing this one event
  rejected_s INTEGER,
  PRIMARY KEY (epoch_no, seq)
) STRICT, WITHOUT ROWID;
-- Sent again in a later epoch.
CREATE INDEX outbox_reused ON outbox (id) WHERE rejected = 'sequence_reused';
-- What is asked each second, whatever the outbox holds: what to send next, and how many to skip.
CREATE INDEX outbox_waiting ON outbox (epoch_no, seq) WHERE rejected IS NULL;
CREATE INDEX outbox_refused ON outbox (epoch_no, seq) WHERE rejected IS NOT NULL;
CREATE INDEX outbox_decision ON outbox (body ->> '$.decision') WHERE type = 'review_refused';
CREATE TABLE document (                    -- the newest signed document of each name
  name TEXT PRIMARY KEY,                   -- trust_list | status_list/<kid> | config/<layer> ...
  version INTEGER NOT NULL,                -- the highest ever seen; never falls
  issued_at_s INTEGER NOT NULL,
  received_s INTEGER NOT NULL,
  raw BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE feed (                        -- how far the order feed has come
  one INTEGER PRIMARY KEY CHECK (one = 1),
  incarnation BLOB NOT NULL DEFAULT x'',   -- of the platform's store, in which revision counts
  revision INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,   -- rows of an older generation are no longer valid
  last_contact_s INTEGER,                  -- of the platform's last message
  snapshot_incarnation BLOB NOT NULL DEFAULT x'',
  snapshot_revision INTEGER,               -- of a snapshot that is not in use yet, else null
  snapshot_generation INTEGER NOT NULL DEFAULT 0,
  snapshot_pages INTEGER NOT NULL DEFAULT 0,  -- pages of it applied so far
  stale_deleted_through BLOB,              -- stale rows up to this cti are deleted; null: all
  digest BLOB,                             -- of the valid rows (domain.order_row); null: unknown
  snapshot_digest BLOB,
  snapshot_rows INTEGER NOT NULL DEFAULT 0,
  snapshot_known INTEGER NOT NULL DEFAULT 0,  -- of its rows, those that were valid before
  reload INTEGER NOT NULL DEFAULT 0,       -- 1: the rows here are not the platform's: load all
  dropped INTEGER,                         -- a whole snapshot waits: it drops so many; else null
  confirmed_incarnation BLOB NOT NULL DEFAULT x'',  -- the newest confirmation of a person
  confirmed_revision INTEGER NOT NULL DEFAULT 0,
  confirmed_rows INTEGER NOT NULL DEFAULT 0,
  window_s INTEGER NOT NULL DEFAULT 0,     -- when the count of removed rows began
  window_rows INTEGER NOT NULL DEFAULT 0,  -- how many orders were in use then
  window_removed INTEGER NOT NULL DEFAULT 0  -- how many of them were removed since
) STRICT;
CREATE TABLE entitlement (
  cti BLOB PRIMARY KEY CHECK (length(cti) = 16),
  order_id TEXT NOT NULL,
  kind INTEGER NOT NULL,
  home_site TEXT NOT NULL,
  home_device TEXT,
  status TEXT NOT NULL,
  quantity INTEGER NOT NULL,
  amount_minor INTEGER,
  currency TEXT,
  not_before_s INTEGER NOT NULL,
  expires_at_s INTEGER NOT NULL,
  review INTEGER NOT NULL,
  compartments TEXT NOT NULL,              -- JSON array
  subject TEXT,
  campaign TEXT,
  rules TEXT,                              -- JSON array
  revision INTEGER NOT NULL,
  generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE withdrawal (                  -- what the platform withdrew, outside any order
  scope TEXT NOT NULL,                     -- token (name: cti in hex) | campaign
  name TEXT NOT NULL,
  since_s INTEGER NOT NULL,
  PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
  id INTEGER PRIMARY KEY,
  cti BLOB NOT NULL CHECK (length(cti) = 16),
  use_no INTEGER CHECK (use_no >= 1),      -- null for a reversal; a number is never used again
  reverses INTEGER REFERENCES ledger (id),
  order_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  units INTEGER NOT NULL,
  amount_minor INTEGER,
  currency TEXT,
  verdict TEXT NOT NULL,                   -- accepted | accepted_pending_review | reversed
  reason TEXT,                             -- of a reversal
  at_s INTEGER NOT NULL,
  trust TEXT NOT NULL,
  operator TEXT,
  risk TEXT,                               -- offline risks taken, space separated; null: none
  epoch_no INTEGER NOT NULL,
  seq INTEGER NOT NULL,                    -- of the event that first reported it
  event_id TEXT NOT NULL,                  -- its UUIDv7, by which the platform knows the redemption
  UNIQUE (cti, use_no),
  CHECK ((use_no IS NULL) = (reverses IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX ledger_reversed_once ON ledger (reverses) WHERE reverses IS NOT NULL;
CREATE INDEX ledger_risk_by_time ON ledger (at_s) WHERE risk IS NOT NULL;
CREATE INDEX ledger_risk_by_event ON ledger (epoch_no, seq) WHERE risk IS NOT NULL;
CREATE TABLE restored_redemption (         -- what the platform knows from before this store
  cti BLOB NOT NULL CHECK (length(cti) = 16),
  device TEXT NOT NULL,                    -- that redeemed: this one or another of its site
  event_id TEXT NOT NULL,                  -- of the event that first reported it
  units INTEGER NOT NULL,
  amount_minor INTEGER,
  at_s INTEGER NOT NULL,
  PRIMARY KEY (cti, device, event_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE review (                      -- a second person's approval
  ledger_id INTEGER PRIMARY KEY REFERENCES ledger (id),
  state TEXT NOT NULL,                     -- pending | approved | rejected | void
  opened_s INTEGER NOT NULL,
  decided_s INTEGER,
  decided_by TEXT,
  reason TEXT
) STRICT;
CREATE TABLE intent (                      -- a command to a lock, written before it is sent
  id INTEGER PRIMARY KEY,
  ledger_id INTEGER NOT NULL REFERENCES ledger (id),
  cti BLOB NOT NULL,
  compartment TEXT NOT NULL,
  position INTEGER NOT NULL,               -- the order in which doors are opened, from 0
  reopening INTEGER NOT NULL,              -- 1: the same code again within its grace
  state TEXT NOT NULL,                     -- edge.pickup.door_states.DoorState
  detail TEXT NOT NULL DEFAULT '',
  reserved_s INTEGER NOT NULL,
  pulsed_s INTEGER,
  opened_s INTEGER,
  ended_s INTEGER
) STRICT;
CREATE INDEX intent_of ON intent (cti);
CREATE INDEX intent_by_redemption ON intent (ledger_id);
CREATE INDEX intent_live ON intent (id) WHERE ended_s IS NULL;
CREATE TABLE policy (                      -- the terms of every verdict
  no INTEGER PRIMARY KEY,
  document TEXT NOT NULL UNIQUE            -- JSON
) STRICT;
CREATE TABLE journal (                     -- every scan, refused ones too
  id INTEGER PRIMARY KEY,
  at_s INTEGER NOT NULL,
  trust TEXT NOT NULL,
  reason TEXT NOT NULL,                    -- a verdict's or a rejection's code
  detail TEXT NOT NULL,
  cti BLOB,
  order_id TEXT,
  operator TEXT,
  ledger_id INTEGER REFERENCES ledger (id),
  decode_ms REAL,
  total_ms REAL,                           -- frame to lamp, once shown
  shown TEXT,                              -- the signal, once shown
  policy_no INTEGER REFERENCES policy (no),
  facts TEXT,                              -- JSON: what the verdict rests on, to replay it
  content BLOB                             -- first half of the SHA-256 of an unverified code
) STRICT;
CREATE INDEX journal_refused ON journal (id) WHERE ledger_id IS NULL;
CREATE INDEX journal_redeemed ON journal (ledger_id) WHERE ledger_id IS NOT NULL;
CREATE TABLE exception (                   -- a case that a person must settle
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  cause TEXT NOT NULL,
  tried TEXT NOT NULL,
  cti BLOB,
  order_id TEXT,
  compartment TEXT,
  ledger_id INTEGER REFERENCES ledger (id),
  raised_s INTEGER NOT NULL,
  settled_s INTEGER,
  settled_by TEXT,
  settlement TEXT,
  note TEXT
) STRICT;
CREATE INDEX exception_open ON exception (kind, id) WHERE settled_s IS NULL;
CREATE INDEX exception_of ON exception (ledger_id) WHERE ledger_id IS NOT NULL;
CREATE INDEX exception_conflict ON exception (cause) WHERE kind = 'platform_conflict';
CREATE TABLE session (                     -- who is signed in at this device
  one INTEGER PRIMARY KEY CHECK (one = 1),
  operator_id TEXT NOT NULL,
  role TEXT NOT NULL,
  badge BLOB NOT NULL,                     -- the badge's cti
  opened_s INTEGER NOT NULL,
  expires_s INTEGER NOT NULL,
  acted_s INTEGER NOT NULL,                -- of the last action
  idle_s INTEGER NOT NULL,
  boot TEXT NOT NULL                       -- the run of the machine that it belongs to
) STRICT;
CREATE TABLE shown_badge (                 -- the badge that was shown last and waits for its PIN
  one INTEGER PRIMARY KEY CHECK (one = 1),
  operator_id TEXT NOT NULL,
  badge BLOB NOT NULL,
  expires_s INTEGER NOT NULL,              -- of the badge
  shown_s INTEGER NOT NULL
) STRICT;
CREATE TABLE pin_attempt (                 -- wrong PINs since the last right one
  operator_id TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  locked_until_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE operator_log (                -- sign-ins and what concerns them; kept
  id INTEGER PRIMARY KEY,
  at_s INTEGER NOT NULL,
  trust TEXT NOT NULL,
  operator_id TEXT NOT NULL,
  result TEXT NOT NULL,                    -- a SignInResult, or unlocked
  detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE authorisation_request (       -- of a grant to redeem what is not homed on this device
  id TEXT PRIMARY KEY,                     -- UUIDv7; the signed reply carries it
  cti BLOB NOT NULL CHECK (length(cti) = 16),
  units INTEGER NOT NULL,
  order_quantity INTEGER NOT NULL,             -- as this device knows; 0: not in its cache
  order_amount_minor INTEGER,                      -- of a voucher that is used in parts
  requested_s INTEGER NOT NULL,
  boot TEXT NOT NULL,                      -- the run of the machine in which due_ns counts
  due_ns INTEGER NOT NULL,                 -- monotonic; a reply after this is too late
  counted TEXT,                            -- JSON: events that this device counts; null: all
  result TEXT,                             -- an AuthorisationResult; null: no reply yet
  used_units INTEGER,                      -- that other devices have redeemed
  used_minor INTEGER,
  authority TEXT,                          -- who replied
  used_s INTEGER,                          -- when another device last redeemed it; 0: never
  used_by TEXT,                            -- which device; empty: none
  replied_ns INTEGER,
  consumed INTEGER NOT NULL DEFAULT 0,     -- 1: a redemption rests on it; 2: its event was refused
  number INTEGER NOT NULL UNIQUE CHECK (number >= 1)  -- in the order in which requests were written
) STRICT, WITHOUT ROWID;
CREATE INDEX authorisation_request_of ON authorisation_request (cti);
CREATE INDEX authorisation_request_live ON authorisation_request (boot, due_ns);
-- The platform refused their redemption: only these are never deleted.
CREATE INDEX authorisation_request_unreported ON authorisation_request (number) WHERE consumed = 2;
CREATE TABLE pending_request (             -- typed: how much to use the next voucher for
  one INTEGER PRIMARY KEY CHECK (one = 1),
  operator TEXT NOT NULL,                  -- who typed it; must be signed in at the scan
  units INTEGER NOT NULL CHECK (units >= 1),
  amount_minor INTEGER CHECK (amount_minor >= 1),
  until_s INTEGER NOT NULL
) STRICT;
INSERT INTO feed (one) VALUES (1);
"""

# Only ever appended to: a released step is never edited.
STEPS: Final[tuple[tuple[str, str], ...]] = (("0001_tables", TABLES),)
