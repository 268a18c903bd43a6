"""The page at `/` as people use it, in a real browser: found, chosen, read, told what is wrong, and never outside."""
