"""The commands of `bike`, one module or folder for each. Parsing the command line belongs to `cli`."""
