"""The device's side of enrolment over HTTPS, renewal and revocation of its identity."""
