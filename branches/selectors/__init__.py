"""Reading for a reader: every function takes the actor, and withholds what it may not see."""
