"""The operating system at arm's length: clock, time zone, systemd, log, health file, durable files."""
