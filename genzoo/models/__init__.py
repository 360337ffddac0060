"""What a model is and what it can do: sample, encode, score, translate, complete."""
