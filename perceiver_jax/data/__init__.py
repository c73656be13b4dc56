"""Files and order: what the data sets hold, and which example is at which position of which batch."""
