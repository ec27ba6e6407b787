"""Lamps, buzzer, locks and door contacts over gpiozero."""
