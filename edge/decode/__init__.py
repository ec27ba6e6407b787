"""The time-budgeted ladder of decoders."""
