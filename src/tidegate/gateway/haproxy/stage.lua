-- A request that HAProxy cannot keep as a whole has no way back from a stage to the queue of its slot.
-- While its pod is still at work for a client that has left, it waits here; no byte of it has gone on.
--
-- Argument: seconds at most.

local LOOK_MS = 20
local most_looks = tonumber((...)) * 1000 // LOOK_MS

core.register_action("await_place", { "http-req" }, function(txn)
  local stage = txn.f:so_name()
  for _ = 1, most_looks do
    if txn.f:be_conn_free(stage) > 0 or txn.f:nbsrv(stage) == 0 then return end
    core.msleep(LOOK_MS)
  end
end)
