"""Networks whose features distances compare, and the features' statistics of real data."""
