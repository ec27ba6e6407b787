"""A locker whose doors a test moves by hand."""

from edge.ports import LockError


class Locker:
    """Three compartments; the lock and the contacts are one object, as on a real board."""

    def __init__(self):
        self.open = dict.fromkeys("ABC", False)
        self.pulses, self.opens_by_itself, self.fails = [], True, False

    def compartments(self):
        return frozenset(self.open)

    def pulse(self, compartment):
        self.pulses.append(compartment)
        if self.fails:
            raise LockError("relay board does not answer")
        if self.opens_by_itself:
            self.open[compartment] = True

    def is_open(self, compartment):
        return self.open[compartment]

    def close(self):
        pass
