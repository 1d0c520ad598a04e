-- What a client is told when its request ends without an answer from the pod: the pod's fault,
-- or, where the agent has said so just before it ended the request, that the time was over.

local VALID_SECONDS = 1
local expected = {}

-- Of a watched request the stream behind `again` is ended; it or the one before it tells the client.
local function slot_of(txn)
  local backend = txn.f:be_name()
  if backend ~= "again" then return backend end
  return txn:get_var("txn.rev"):match("^" .. ("[^/]*/"):rep(6) .. "([^/]*)")
end

local function is_expected(slot)
  local mark = expected[slot]
  if mark == nil then return false end
  mark.left = mark.left - 1
  if mark.left == 0 or core.now().sec > mark.last then expected[slot] = nil end
  return core.now().sec <= mark.last
end

core.register_fetches("no_answer", function(txn)
  if is_expected(slot_of(txn)) then
    txn:set_var("txn.overdue", "overdue")
    return '{"code":504,"message":"the pod sent nothing within the time limit of its revision"}'
  end
  return '{"code":502,"message":"the pod closed the connection or sent no valid answer"}'
end)

core.register_cli({ "expect", "overdue" }, "expect overdue <slot>: one of its requests ends for want of time", function(applet, _, _, slot)
  if slot ~= nil then
    local mark = expected[slot] or { left = 0 }
    mark.left = mark.left + 1
    mark.last = core.now().sec + VALID_SECONDS
    expected[slot] = mark
  end
  applet:send("")
end)
