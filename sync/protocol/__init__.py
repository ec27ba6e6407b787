"""The protocol as data: what is said on which topic, its schemas, examples and rules, for those who write an end.

``python -m sync.protocol`` writes ``docs/protocol`` from the models that the code itself reads with.
"""
