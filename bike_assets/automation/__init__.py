"""Jobs, schedules and sensors: what runs automatically, and when. The assets define what a run does."""
