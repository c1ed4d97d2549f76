"""Remote-write: from request bodies to samples in the database."""
