"""The command line, and the composition of the parts into one process.

`main` has the commands with their options, `commands` does what they say, `process` is what stays
after some of them, and `records` what each finds of those before it.
"""
