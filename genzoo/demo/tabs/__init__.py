"""The tabs of the demo page, one file each."""
