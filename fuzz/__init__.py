"""Fuzzers: README.md says what they cover and how to run them."""
