"""What people read of a program: figures, tables, pages."""
