"""`bike copy`: copies a home's tables, models and reports to the profile gcp, and compares both sides.

The meaning of tables and files does not belong here; `bike warehouse init` makes the tables.
"""
