"""The recorded bytes, brought to a directory or checked where they are."""
