def check_program(program): pass
