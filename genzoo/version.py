"""The version, where nothing else needs to be imported to read it."""

VERSION = "0.2.0"
