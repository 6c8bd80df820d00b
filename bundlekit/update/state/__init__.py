"""What lies in the state folder: journal, locks, requests to cancel, status, support bundles."""
