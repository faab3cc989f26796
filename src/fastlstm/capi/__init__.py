"""Where C programs find fastlstm: a header and a static library. docs/embedding.md shows how to use them."""

from pathlib import Path

_DIRECTORY = Path(__file__).parent
_LIBRARY = "libfastlstm.a"


def get_include() -> str:
    """Return the directory of the header `fastlstm.h`, for a C compiler's -I; as `numpy.get_include`.

    Returns
    -------
    str

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastlstm
    >>> Path(fastlstm.get_include(), "fastlstm.h").is_file()
    True
    """
    return str(_DIRECTORY)


def get_library() -> str:
    """Return the path of the static library that goes with the header, for a linker.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If this is a checkout in which it has not been built.

    Examples
    --------
    >>> from pathlib import Path
    >>> import fastlstm
    >>> Path(fastlstm.get_library()).name
    'libfastlstm.a'
    """
    library = _DIRECTORY / _LIBRARY
    if not library.is_file():
        raise FileNotFoundError(
            f"{_LIBRARY}: expected it in {_DIRECTORY}; in a checkout `python setup.py build_ext --inplace` "
            "builds it"
        )
    return str(library)
