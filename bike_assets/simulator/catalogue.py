"""The scenarios and faults of the simulated portal: names and descriptions for help texts and error messages.

The code of scenarios belongs to `scenarios`, that of faults to `faults`. This module imports neither, so that the
command line starts fast.
"""

SCENARIOS = {
    "reversed_week": "weekends look like working days, and working days like weekends",
    "level_shift": "every count is 0.6 of what it would be",
    "busier_city": "every count is 1.3 times what it would be, and there are two counters more",
    "car_free_days": "every second day is free of cars and has 1.5 times the bikes, each day between 0.6 times",
    "outliers": "rare counts of 6,390 to 11,577 bikes an hour",
    "vanished_counters": "a few counters are gone",
    "renamed_counters": "a few counters have another name and the same id",
    "new_counters": "a few counters more",
    "outages": "whole sites are silent for some days, and single hours are missing everywhere",
    "null_ids": "about 4 % of the rows have no counter id, site and coordinates, and a wrong name",
    "corrections": "about 1 % of the counts are put right 3 days after their day",
    "late_rows": "about 3 % of a day's rows appear 2 days later than the others",
}
"""In the order of their application; `late_rows`, which hides rows for a while, is last."""

FAULTS = {
    "quota": "429 as at the end of a day's quota; the header gives the reset as a date",
    "quota_without_headers": "429 without the time of the reset",
    "error_500": "500, an internal error",
    "error_503": "503, unavailable",
    "timeout": "the request is accepted and never answered",
    "reset": "the connection is reset before an answer",
    "truncated": "the connection ends in the middle of the body",
    "truncated_clean": "a cut body that ends as HTTP wants it, in text formats at the end of a row",
    "in_stream_error": "200, and in the middle of an export the text of an error",
    "malformed_json": "200, and a body that cannot be parsed",
    "html": "200, and an HTML page",
    "duplicate_rows": "some rows of an export appear twice",
    "replaced_rows": "some rows of an export appear twice, instead of others",
    "wrong_total_count": "total_count is too high",
    "low_total_count": "total_count is too low",
    "missing_field": "an export lacks the last requested field",
}
