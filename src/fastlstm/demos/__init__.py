"""What `fastlstm demo` runs."""
