"""All heads, by the names that `--consensus_type` takes."""

from ops.heads.average import Average, Identity
from ops.heads.head import Head

HEADS: dict[str, type[Head]] = {"avg": Average, "identity": Identity}
