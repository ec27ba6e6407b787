"""The ops command line: keys, issue, push, watch, revoke."""
