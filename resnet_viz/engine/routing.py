"""Which replica a job goes to: its session's own, unless that one has clearly more to do than another.

A session's answers and networks are where it was served before, so Ray Serve's consistent hashing by the session header comes
first: every proxy finds the same replica without asking anybody, and when a replica comes or goes few sessions move. By itself
it would leave thirty sessions on two replicas as 18 and 12 as often as not; so a replica with `SLACK` more unfinished jobs than
the idlest of the session's next ones gives the job away. That costs at most a computation: which job takes another's place is
decided by the app, never by what a replica remembers.

serve.multiplexed, the other way, keeps networks and not sessions together. A network loads in a second and every replica holds
four, while a session's answers are nowhere else.
"""

from typing import Any

from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.request_router import PendingRequest, RunningReplica

SLACK = 2


class SessionRouter(ConsistentHashRouter):
    """Consistent hashing by session, with a bound on how uneven the load may get."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Return the session's replicas in the order in which they are tried."""
        ranks: list[list[RunningReplica]] = await super().choose_replicas(candidate_replicas, pending_request)
        loads = {rank[0].replica_id: self._load(rank[0].replica_id) for rank in ranks}
        if not loads or loads[ranks[0][0].replica_id] < min(loads.values()) + SLACK:
            return ranks
        return sorted(ranks, key=lambda rank: loads[rank[0].replica_id])

    def _load(self, replica: Any) -> int:  # noqa: ANN401 - Ray's own name of a replica
        return self.replica_queue_len_cache.get(replica) or 0
