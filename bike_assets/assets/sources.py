"""What others publish and the platform reads: the graph begins here, and no run makes these assets.

Reading them belongs to `raw_counts` and `weather`; which source a home has belongs to `bike_assets.home`.
"""

import dagster as dg

published_counts = dg.AssetSpec(
    "published_counts",
    description="Hourly counts as the source of this home publishes them: a portal, a file, or the simulator.",
    kinds={"api"},
)
published_weather = dg.AssetSpec(
    "published_weather",
    description="Observed and forecast weather as its service publishes it. A home may have none.",
    kinds={"api"},
)
