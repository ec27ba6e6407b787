"""The enrolment service: HTTPS, one-time codes, certificates for devices."""
