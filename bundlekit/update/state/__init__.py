"""The contents of the state folder: journal, locks, requests to cancel, status, support bundles."""
