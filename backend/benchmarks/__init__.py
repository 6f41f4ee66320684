"""What is measured, never asserted. `make bench` runs all of it; results that were kept are in RESULTS.md."""
