"""Statistics: arrays in, numbers out. `distances` is public."""

__all__ = ["distances"]
