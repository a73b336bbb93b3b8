"""Consolidation: what episodes taught, weighed, checked and written into memory, offline.

`jobs` orders and drives one; the other modules are its steps, each a function from the job to its
next window of work. A step reads and thinks outside of a transaction, and hands over what is to be
written: `jobs` carries that out together with the cursor, under the job's epoch. So a window is
done once or not at all, wherever its worker is killed.
"""
