"""Which device may redeem now: grants on request, and a site's lease."""
