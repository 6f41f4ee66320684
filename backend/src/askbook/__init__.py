"""The command `askbook`: a thin front of the indexer and the API."""
