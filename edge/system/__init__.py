"""Services of the operating system: clock, time zone, systemd, log, health file, durable files."""
