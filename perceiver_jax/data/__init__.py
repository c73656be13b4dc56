"""Files and order: what the data sets hold, and which example stands where in which batch."""
