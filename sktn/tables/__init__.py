"""Tables become vectors on sites."""
