"""All entries of one artifact version: sorted by path, unique, in content-addressed Parquet segments."""
