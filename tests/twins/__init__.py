"""The headline queries again, in pandas: written from the definitions, on the rows of the source files.

Each twin is at most 15 lines, so that who knows pandas better than SQL can read a query through it.
Money is counted in whole 1/10,000 of the currency until the last line, so that sums are exact.
"""
