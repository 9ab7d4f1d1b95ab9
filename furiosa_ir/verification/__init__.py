"""`furiosa compile --verify`: every tensor of a compiled network beside the source's.

`trace` keeps what a compile went through and which value became which, `inputs` draws inputs,
`reference` and `framework` say what the source's values are, `levels` compares the last level of IR
with them and `program` the ENF with that; `verify` puts it together. See docs/verify.md.
"""

from furiosa_ir.verification.trace import CompileTrace
from furiosa_ir.verification.verify import Report, verify_compile

__all__ = ["CompileTrace", "Report", "verify_compile"]
