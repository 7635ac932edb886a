"""One search for all chains: a grid of bases and penalties, judged in the convex limit."""
