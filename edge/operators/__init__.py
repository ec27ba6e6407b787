"""Who may do what at this device, offline: roles and acts, badges with a PIN, sessions, lock-out."""
