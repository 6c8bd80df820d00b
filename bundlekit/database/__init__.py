"""PostgreSQL for what many hosts share: the connection, and the tables.

The core of the package does not import this room. The extra ``fleet`` has the library.
"""
