"""`bike materialize`: the plan of what a home lacks, and the pass that does it."""
