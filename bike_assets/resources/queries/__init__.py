"""The questions to the warehouse, by name: a module for each subject. All SELECTs of the platform are here.

Only the engines, `commands.copy` and `commands.doctor` have SQL of their own: theirs is about tables of any form. What
the rows mean belongs to the callers.
"""
