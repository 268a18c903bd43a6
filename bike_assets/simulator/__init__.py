"""A local server that speaks the protocol of the portal, over simulated or replayed counts."""
