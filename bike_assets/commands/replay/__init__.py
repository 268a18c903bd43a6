"""`bike replay`: past days played at simulated times, with the real schedules and sensors."""
