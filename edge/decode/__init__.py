"""Decoding of QR codes: a ladder of methods within a time budget, in processes of its own."""
