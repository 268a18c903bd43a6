"""`bike doctor`: whether each thing that the profile in force needs is there. It changes nothing and mends nothing."""
