"""What devices reported: events taken once, redemptions, reviews."""
