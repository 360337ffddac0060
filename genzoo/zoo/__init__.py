"""Models by name: folders, weights, cards and the Hub."""
