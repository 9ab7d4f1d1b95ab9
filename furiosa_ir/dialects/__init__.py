"""The dialects, one package each: operations, types and verifiers; no transformation."""
