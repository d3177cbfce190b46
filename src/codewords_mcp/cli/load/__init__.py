"""`codewords load`: how many runs a runtime, or several behind one address, carries."""
