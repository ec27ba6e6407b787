"""The tables of the fleet's database, which the hub and the enrolment service share."""
