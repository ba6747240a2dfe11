"""What a record tells, in the few words in which a script says what was done."""

from __future__ import annotations

from typing import Any

from ami_bridge.core.records import CallRecord


def told(record: CallRecord) -> dict[str, Any]:
    """Disposition, who answered, who was rung, transfers and who hung up."""
    return {
        "disposition": record.disposition.value,
        "answered": [party.extension for party in record.answers],
        "rung": sorted(([leg.party.extension, leg.ring_verdict] for leg in record.rung), key=str),
        "transfers": [
            [
                transfer.kind,
                transfer.transferer.extension,
                transfer.transferee.extension if transfer.transferee else None,
                transfer.target.extension if transfer.target else None,
                transfer.outcome,
            ]
            for transfer in record.transfers
        ],
        "hung_up_by": record.hung_up_by,
    }
