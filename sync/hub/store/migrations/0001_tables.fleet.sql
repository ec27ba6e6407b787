-- The tables of the fleet's store, fleet.db.
CREATE TABLE settings_document (      -- settings, signed
  key TEXT NOT NULL,                         -- fleet | group/x | site/x | device/x
  rev INTEGER NOT NULL,
  digest TEXT NOT NULL,
  raw BLOB NOT NULL,
  state TEXT NOT NULL,                       -- rolling | current | withdrawn
  pushed_s INTEGER NOT NULL,
  PRIMARY KEY (key, rev)
) STRICT, WITHOUT ROWID;
CREATE TABLE settings_offer (         -- the devices a rolling document is offered to
  key TEXT NOT NULL,
  rev INTEGER NOT NULL,
  dev TEXT NOT NULL,
  PRIMARY KEY (key, rev, dev)
) STRICT, WITHOUT ROWID;
CREATE TABLE settings_report (        -- the last report of each device
  dev TEXT PRIMARY KEY,
  report TEXT NOT NULL,                      -- JSON
  received_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolled_device (        -- without those of hub.toml
  dev TEXT PRIMARY KEY,
  site TEXT NOT NULL,
  groups TEXT NOT NULL,                      -- JSON array
  serial TEXT NOT NULL,                      -- of the board, as the device reported
  enrolled_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolment_code (
  id TEXT PRIMARY KEY,                       -- of the code, hexadecimal
  dev TEXT NOT NULL,
  site TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  state TEXT NOT NULL,                       -- open | used | cancelled
  created_s INTEGER NOT NULL,
  used_s INTEGER,
  used_from TEXT,
  key_digest TEXT,                           -- of the public key that it was used for
  certificate TEXT                           -- for that key, so that a lost reply can be sent again
) STRICT, WITHOUT ROWID;
CREATE TABLE enrolment_refusal (      -- requests that were refused, the newest
  no INTEGER PRIMARY KEY,
  at_s INTEGER NOT NULL,
  reason TEXT NOT NULL,
  dev TEXT NOT NULL,
  code TEXT NOT NULL,
  address TEXT NOT NULL,
  detail TEXT NOT NULL,
  times INTEGER NOT NULL                     -- how many of this kind there were by then
) STRICT;
CREATE TABLE enrolment_alarm (      -- a used code that was shown again: it may be stolen. No row is ever deleted
  code TEXT PRIMARY KEY,                     -- hexadecimal
  dev TEXT NOT NULL,
  times INTEGER NOT NULL,
  first_s INTEGER NOT NULL,
  last_s INTEGER NOT NULL,
  first_address TEXT NOT NULL,
  last_address TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE device_certificate (
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  dev TEXT NOT NULL,
  expires_at_s INTEGER NOT NULL,
  issued_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE renewed_certificate (    -- of servers, hubs and authorities
  serial TEXT PRIMARY KEY,                   -- hexadecimal
  name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE revocation (             -- a device that may not take part
  dev TEXT PRIMARY KEY,
  raw BLOB NOT NULL,                         -- the signed order
  reason TEXT NOT NULL,
  at_s INTEGER NOT NULL,
  stage TEXT NOT NULL                        -- see sync.wire.fleet_requests
) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_certificate (    -- certificates on the revocation list
  serial TEXT PRIMARY KEY,
  at_s INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
