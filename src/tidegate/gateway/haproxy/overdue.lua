-- What a client is told when its request ends without an answer from the pod: the pod's fault,
-- or, where the agent has said so just before it ended the request, that the time was over.

local VALID_SECONDS = 1
local expected = {}

local function key_of(txn)
  local port = txn.f:src_port()
  if port ~= nil then return txn.f:src() .. ":" .. port end
  return txn.f:be_name() .. "/" .. txn.f:srv_name()
end

local function is_expected(key)
  local mark = expected[key]
  if mark == nil then return false end
  mark.left = mark.left - 1
  if mark.left == 0 or core.now().sec > mark.last then expected[key] = nil end
  return core.now().sec <= mark.last
end

core.register_fetches("no_answer", function(txn)
  if is_expected(key_of(txn)) then
    txn:set_var("txn.overdue", "overdue")
    return '{"code":504,"message":"the pod sent nothing within the time limit of its revision"}'
  end
  return '{"code":502,"message":"the pod closed the connection or sent no valid answer"}'
end)

core.register_cli({ "expect", "overdue" }, "expect overdue <address:port>|<backend/server>: its request ends for want of time", function(applet, _, _, key)
  if key ~= nil then
    local mark = expected[key] or { left = 0 }
    mark.left = mark.left + 1
    mark.last = core.now().sec + VALID_SECONDS
    expected[key] = mark
  end
  applet:send("")
end)
