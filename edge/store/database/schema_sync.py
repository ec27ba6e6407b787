"""The tables in which the scanner and edge-sync meet: claims, and how the order feed is doubted."""

SYNC = """
CREATE TABLE claim (                       -- leave asked for, to honour what is not homed on this device
  id TEXT PRIMARY KEY,                     -- UUIDv7; the answer carries it, signed
  cti BLOB NOT NULL CHECK (length(cti) = 16),
  units INTEGER NOT NULL,
  sold INTEGER NOT NULL,                   -- units that were sold, as this device knows; 0: not in its cache
  sold_minor INTEGER,                      -- of a voucher that is used in parts
  asked_s INTEGER NOT NULL,
  boot TEXT NOT NULL,                      -- the run of the machine in which due_ns counts
  due_ns INTEGER NOT NULL,                 -- monotonic; an answer after this is too late
  result TEXT,                             -- edge.domain.authorisation.ClaimResult; null: no answer yet
  used INTEGER,                            -- units that others have used
  used_minor INTEGER,
  authority TEXT,                          -- who answered
  answered_ns INTEGER,
  spent INTEGER NOT NULL DEFAULT 0         -- 1: a redemption rests on it
) STRICT, WITHOUT ROWID;
CREATE INDEX claim_of ON claim (cti);
CREATE INDEX claim_open ON claim (id) WHERE result IS NULL;
ALTER TABLE feed ADD COLUMN digest BLOB;   -- over the valid rows (edge.domain.order_row); null: not known
ALTER TABLE feed ADD COLUMN snapshot_digest BLOB;
ALTER TABLE feed ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0;  -- 1: the digest was not the platform's: load again
CREATE INDEX outbox_reused ON outbox (id) WHERE rejected = 'sequence_reused';  -- sent again in a later epoch
"""

CLAIMS = """
ALTER TABLE device ADD COLUMN claims INTEGER NOT NULL DEFAULT 0;  -- the number of the last claim; never falls
ALTER TABLE claim ADD COLUMN no INTEGER NOT NULL DEFAULT 0;  -- its number, in the order they were asked; 0: an old one
CREATE INDEX claim_no ON claim (no);
"""
