"""`bike doctor`: checks that everything that the profile in force needs is there. It changes and repairs nothing."""
