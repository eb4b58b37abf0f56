"""One package for each outside contract: bytes become one actor call, and its result bytes again."""
