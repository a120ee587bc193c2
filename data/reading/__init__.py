"""Reading a log: files → columns → times → rows, right or refused."""
