"""ENF 1: the program file. Records, writer, verifying reader, disassembler. Imports no IR."""
