from setuptools import Extension, setup
from Cython.Build import cythonize
from pathlib import Path
here = "src/fastlstm"
setup(ext_modules=cythonize([Extension("fastlstm._core", ["src/fastlstm/_core.pyx", *sorted(map(str, Path("src/fastlstm/kernels").glob("*.c")))], include_dirs=[here], define_macros=[("CYTHON_CCOMPLEX", "0")], extra_compile_args="-O3 -std=c11 -fno-math-errno -fno-trapping-math -ffp-contract=off -fvisibility=hidden -g1".split())]))
