"""Finding what makes a value wrong: the pass, the rule, its application, the operation.

`numerics` runs a module before and after each pass and stops at the first that changes a value;
`bisect` finds that pass in a whole compile, `applications` the rule's application within it,
`reduce` makes a test of some operations of it. `difference` compares two compiles, `tensors` takes
values out of a network. docs/finding-a-wrong-pass.md shows it at work.

Below them: `inputs` draws what is run, `state` is a module with numbers for its values, `execution`
runs one, `change` compares two, `device` a program with its kernels.
"""
