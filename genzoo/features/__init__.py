"""Networks that distances between images look through, and their statistics of real data."""
