"""The indexer: a book's files in, a searchable generation out."""
