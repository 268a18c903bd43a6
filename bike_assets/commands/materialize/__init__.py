"""`bike materialize`: the plan of the missing steps of a home, and the pass that runs them."""
