"""What the Triton implementations share: launches that can be run or compiled ahead, the interpreter's rules, common device
functions. Only `runtime` and `launch` may be imported where Triton is not installed."""
