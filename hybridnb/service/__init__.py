"""One detached process per user that owns the engine and all writing; faces reach it through hybridnb.client."""
