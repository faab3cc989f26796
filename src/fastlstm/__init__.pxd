"""For other Cython code: cimport fastlstm. docs/embedding.md tells how."""

from ._core cimport Stepper
