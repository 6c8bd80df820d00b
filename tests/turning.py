"""A file that is rewritten while it is read, by someone who leaves no trace of it."""


class Turning:
    """A source that has other bytes after some reads. Its size and its times stay, so that nothing shows it.

    ``reads`` lists what was read, and ``turned`` is whether it was rewritten: a test has to assert that.
    """

    name = "turning"

    def __init__(self, first, then, after):
        self.size = self.held = len(first)
        self.reads = []
        self._first, self._then, self._after = first, then, after

    @property
    def turned(self):
        return len(self.reads) >= self._after

    def rewrite(self, data):
        """Have other bytes from now on."""
        self._then, self._after = data, 0

    def readinto(self, offset, buffer):
        buffer[:] = (self._then if self.turned else self._first)[offset : offset + len(buffer)]
        self.reads.append((offset, len(buffer)))

    def ensure_unchanged(self):
        """Nothing shows it."""
