"""Networks that compute features for distances, with statistics of real data."""
