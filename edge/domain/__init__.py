"""Pure: entitlements, verdicts, roles and the decision, with every fact as an argument."""
