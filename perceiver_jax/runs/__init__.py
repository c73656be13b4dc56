"""A run: its directory, the loop that trains it, and what is done with it afterwards."""
