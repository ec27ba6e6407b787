"""The tables of what people do at the device besides scanning."""

DESK = """
CREATE TABLE asked (                       -- how much the next voucher is to be used for; typed, then scanned
  one INTEGER PRIMARY KEY CHECK (one = 1),
  operator TEXT NOT NULL,                  -- who typed it; it holds only while this person is signed in
  units INTEGER NOT NULL CHECK (units >= 1),
  amount_minor INTEGER CHECK (amount_minor >= 1),
  until_s INTEGER NOT NULL
) STRICT;
ALTER TABLE journal ADD COLUMN content BLOB;  -- of a code that was not believed: the first half of its SHA-256
"""
