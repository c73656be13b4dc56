"""Files and order: what the data sets contain, and which example is at which position of which batch."""
