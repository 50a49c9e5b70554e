"""文印闸 (wenyin-gate): screens every file that is about to leave, before it leaves.

`dlp.Gate.from_config(None)` gives a gate on the embedded defaults; see `dlp.service.gate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlp.service.gate import Gate

__all__ = ["Gate", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the gate when it is first asked for: the sandbox child imports this package too and needs no gate."""
    if name == "Gate":
        from dlp.service.gate import Gate  # noqa: PLC0415  the reason is above

        return Gate
    raise AttributeError(name)
