"""The command line: words in, words out. Every decision is made elsewhere."""
