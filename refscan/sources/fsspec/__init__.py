"""File systems of fsspec, with the extra ``refscan[fsspec]``."""
