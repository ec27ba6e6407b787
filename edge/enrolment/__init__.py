"""The scanner's side of enrolment: hands a scanned code to edge-sync and reports the outcome."""
