"""What can be proven of a task without a model: each proof is a function that says what holds, or raises why it fails.

A proof of a `Subject` returns one line on what was looked at, raises `FaultError` with the offending sample, or
`NotProvable` where the question does not arise.
"""
