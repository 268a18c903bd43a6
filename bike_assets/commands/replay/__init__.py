"""`bike replay`: plays past days at simulated times, with the real schedules and sensors."""
