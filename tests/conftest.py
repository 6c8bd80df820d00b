"""Settings for all tests."""

from hypothesis import settings

# A time limit per example says more about the machine's other work than about the code.
settings.register_profile("bundlekit", deadline=None)
settings.load_profile("bundlekit")
