"""What runs by itself, and when. What a run does belongs to the assets."""
