"""What `--verify` knows of Warboy: commands beside the kernels that they carry out."""
