-- The tables of 0001_tables.sqlite.sql, which says what each is for. Texts compare byte by byte (COLLATE "C"),
-- as they do in SQLite.
CREATE TABLE stream (
  dev TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  committed_through BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (dev, epoch)
);
CREATE TABLE event (
  dev TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  type TEXT COLLATE "C" NOT NULL,
  ts BIGINT NOT NULL,
  ts_trust TEXT COLLATE "C" NOT NULL,
  body TEXT COLLATE "C" NOT NULL,
  received_s BIGINT NOT NULL,
  refused TEXT COLLATE "C",
  PRIMARY KEY (dev, epoch, seq)
);
CREATE INDEX event_refused ON event (dev, epoch, seq, refused, type, id) WHERE refused IS NOT NULL;
CREATE TABLE sequence_conflict (
  dev TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  event TEXT COLLATE "C" NOT NULL,
  received_s BIGINT NOT NULL,
  PRIMARY KEY (dev, epoch, seq, id)
);
CREATE TABLE redemption (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  use_no BIGINT NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  units BIGINT NOT NULL,
  amount_minor BIGINT,
  ts BIGINT NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  expires_s BIGINT,
  reversed BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (cti, dev, epoch, seq),
  UNIQUE (cti, dev, id)
);
CREATE INDEX redemption_standing ON redemption (cti, dev, ts) WHERE reversed = 0;
CREATE TABLE redemption_alias (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  alias TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (cti, dev, alias)
);
CREATE TABLE redeemed_total (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  units BIGINT NOT NULL,
  amount_minor BIGINT NOT NULL,
  PRIMARY KEY (cti, dev)
);
CREATE INDEX redeemed_by_device ON redeemed_total (dev, cti);
CREATE TABLE reversal (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  redemption_id TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
);
CREATE TABLE review_report (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  redemption_id TEXT COLLATE "C" NOT NULL,
  ts BIGINT NOT NULL,
  state TEXT COLLATE "C" NOT NULL,
  decided_by TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (cti, dev, redemption_id)
);
CREATE TABLE review (
  no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dev TEXT COLLATE "C" NOT NULL,
  cti BYTEA NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  approve BIGINT,
  decided_by TEXT COLLATE "C",
  reason TEXT COLLATE "C",
  decided_s BIGINT,
  raw BYTEA,
  closed BIGINT NOT NULL DEFAULT 0,
  refused TEXT COLLATE "C",
  UNIQUE (dev, epoch, seq)
);
CREATE INDEX review_of ON review (dev, cti);
CREATE INDEX review_undelivered ON review (dev, no) WHERE approve IS NOT NULL AND closed = 0;
CREATE TABLE conflict (
  no BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  dev TEXT COLLATE "C" NOT NULL,
  cti BYTEA NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  other_dev TEXT COLLATE "C" NOT NULL,
  other_epoch TEXT COLLATE "C" NOT NULL,
  other_seq BIGINT NOT NULL,
  other_ts BIGINT NOT NULL,
  found_s BIGINT NOT NULL,
  acknowledged BIGINT NOT NULL DEFAULT 0,
  UNIQUE (dev, epoch, seq, other_dev, other_epoch, other_seq)
);
CREATE INDEX conflict_open ON conflict (dev, no) WHERE acknowledged = 0;
CREATE TABLE feed (
  site TEXT COLLATE "C" PRIMARY KEY,
  head BIGINT NOT NULL,
  digest BYTEA NOT NULL
);
CREATE TABLE entitlement (
  cti BYTEA PRIMARY KEY,
  site TEXT COLLATE "C" NOT NULL,
  revision BIGINT NOT NULL,
  created BIGINT NOT NULL,
  line TEXT COLLATE "C" NOT NULL,
  size BIGINT NOT NULL
);
CREATE UNIQUE INDEX entitlement_feed ON entitlement (site, revision);
CREATE INDEX entitlement_page ON entitlement (site, cti);
CREATE TABLE removed_entitlement (
  site TEXT COLLATE "C" NOT NULL,
  cti BYTEA NOT NULL,
  revision BIGINT NOT NULL,
  PRIMARY KEY (site, cti)
);
CREATE INDEX removed_entitlement_feed ON removed_entitlement (site, revision);
CREATE TABLE snapshot_page (
  site TEXT COLLATE "C" NOT NULL,
  revision BIGINT NOT NULL,
  page BIGINT NOT NULL,
  first_cti BYTEA NOT NULL,
  PRIMARY KEY (site, revision, page)
);
CREATE TABLE open_grant (
  cti BYTEA NOT NULL,
  dev TEXT COLLATE "C" NOT NULL,
  id TEXT COLLATE "C" NOT NULL,
  quantity BIGINT NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  no BIGINT NOT NULL,
  PRIMARY KEY (cti, dev, id)
);
CREATE INDEX open_grant_number ON open_grant (dev, epoch, no);
CREATE TABLE lease (
  site TEXT COLLATE "C" PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  term BIGINT NOT NULL,
  until_s BIGINT NOT NULL
);
CREATE TABLE seen_epoch (
  dev TEXT COLLATE "C" NOT NULL,
  epoch TEXT COLLATE "C" NOT NULL,
  first_s BIGINT NOT NULL,
  PRIMARY KEY (dev, epoch)
);
CREATE TABLE device_status (
  dev TEXT COLLATE "C" PRIMARY KEY,
  status TEXT COLLATE "C" NOT NULL,
  received_s BIGINT NOT NULL
);
CREATE TABLE incarnation (
  id BYTEA PRIMARY KEY,
  began_s BIGINT NOT NULL,
  by_name TEXT COLLATE "C",
  reason TEXT COLLATE "C",
  held TEXT COLLATE "C"
);
CREATE TABLE hold (
  one BIGINT PRIMARY KEY CHECK (one = 1),
  since_s BIGINT NOT NULL,
  detail TEXT COLLATE "C" NOT NULL
);
CREATE TABLE history_claim (
  dev TEXT COLLATE "C" NOT NULL,
  kind TEXT COLLATE "C" NOT NULL,
  numbering TEXT COLLATE "C" NOT NULL,
  through BIGINT NOT NULL,
  detail TEXT COLLATE "C" NOT NULL,
  reported_s BIGINT NOT NULL,
  accepted BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (dev, kind)
);
CREATE TABLE order_confirmation (
  site TEXT COLLATE "C" NOT NULL,
  revision BIGINT NOT NULL,
  entries BIGINT NOT NULL,
  by_name TEXT COLLATE "C" NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  confirmed_s BIGINT NOT NULL,
  PRIMARY KEY (site, revision)
);
