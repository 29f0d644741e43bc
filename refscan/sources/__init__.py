"""Where objects live: one source per kind of store, all behind one protocol."""
