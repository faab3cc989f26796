"""Build free_run.pyx; Cython finds fastlstm's declarations in the installed package."""

from Cython.Build import cythonize
from setuptools import setup

setup(name="free-run", ext_modules=cythonize("free_run.pyx"))
