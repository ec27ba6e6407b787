"""The kiosk screen: one page over loopback HTTP."""
