"""What scanners write: one file per format, JSON values in, findings out. Reads only the fields it names; never judges them."""
