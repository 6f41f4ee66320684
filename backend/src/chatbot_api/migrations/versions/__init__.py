"""One module a revision, `r0001_…`: the numbers are their order."""
