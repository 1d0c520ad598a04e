-- The limits on the first byte of an answer, and what a client is told when its request ends without
-- one: the pod's fault, or that the time was over. `timeout server` would count inside answers too.
--
-- What is here as a whole when a pod gets it, HAProxy ends by itself. Of the rest the agent says just
-- before it ends the request that its time is over.

local VALID_SECONDS = 1
local expected = {}

local OVERDUE = '{"code":504,"message":"the pod sent nothing within the time limit of its revision"}'
local JSON = { ["content-type"] = { "application/json" } }

-- HAProxy's timers may be a moment early by its time of day.
local EARLY_MS = 50

local function now_ms(txn) return txn.f:date(0, "ms") end

local function end_overdue(txn) txn:done(txn:reply({ status = 504, headers = JSON, body = OVERDUE })) end

-- Called at the dispatch to the pod, whenever something happens to the answer, and when it is due.
core.register_action("limit", { "tcp-res" }, function(txn)
  local due_ms = txn:get_var("txn.due_ms")
  if due_ms == nil then
    local limit_ms = tonumber(txn:get_var("txn.start_ms"))
    txn:set_var("txn.due_ms", now_ms(txn) + limit_ms)
    act.wake_time(limit_ms + 1)
    return act.YIELD
  end
  if not txn.res:may_recv() or txn.res:input() > 0 then
    -- What goes back to the queue has its whole time at the next pod.
    txn:unset_var("txn.due_ms")
  elseif now_ms(txn) >= due_ms then
    end_overdue(txn)
  end
  return act.CONTINUE
end)

-- Called when the usual time is over, or when the answer cannot come or be read: that is not late.
core.register_action("late", { "tcp-res" }, function(txn, usual_ms)
  local due_ms = txn:get_var("txn.whole_ms") + tonumber(usual_ms)
  if txn.res:may_recv() and now_ms(txn) >= due_ms - EARLY_MS then end_overdue(txn) end
  return act.CONTINUE
end, 1)

-- Of a watched request the stream behind `again` is ended; it or the one before it tells the client.
local function slot_of(txn)
  local backend = txn.f:be_name()
  if backend ~= "again" then return backend end
  return txn:get_var("txn.rev"):match("^" .. ("[^/]*/"):rep(4) .. "([^/]*)")
end

local function is_expected(slot)
  local mark = expected[slot]
  if mark == nil then return false end
  mark.left = mark.left - 1
  if mark.left == 0 or core.now().sec > mark.last then expected[slot] = nil end
  return core.now().sec <= mark.last
end

core.register_fetches("overdue", function() return OVERDUE end)

core.register_fetches("no_answer", function(txn)
  if is_expected(slot_of(txn)) then
    txn:set_var("txn.overdue", "overdue")
    return OVERDUE
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
