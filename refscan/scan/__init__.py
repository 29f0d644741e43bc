"""From a source's listings to rows in key order: ranges, concurrency, stat, order."""
