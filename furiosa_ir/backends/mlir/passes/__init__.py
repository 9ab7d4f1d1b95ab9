"""The passes behind `ftensor` of the backend `mlir`."""
