"""What a file of this package is: written whole, checked when it is read."""
