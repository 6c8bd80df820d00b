"""The layout of Mender artifacts: manifest and header inside the tar archive."""
