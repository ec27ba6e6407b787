"""Operators at this device, offline: badges with a PIN, sign-in, lock-out, and their actions."""
