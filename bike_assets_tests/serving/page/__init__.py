"""The page at `/` in a real browser: choosing, messages, accessibility; and it loads nothing from other hosts."""
