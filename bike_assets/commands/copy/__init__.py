"""`bike copy`: a home's tables, models and reports, carried to the profile gcp and compared there.

How tables and files mean what they mean does not belong here; nor does making the tables there.
"""
