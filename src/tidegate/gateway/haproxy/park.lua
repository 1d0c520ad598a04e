-- The park: holds requests of a slot that has no pod, and lets them go on, in the order in which
-- they came, when one is up. It also tells the agent at once that somebody waits.
--
-- Arguments: the agent's socket; the most requests held per slot; seconds at most.

local agent_path, max_held, hold_seconds = ...
max_held, hold_seconds = tonumber(max_held), tonumber(hold_seconds)

local TICK_MS = 250
local COALESCE_MS = 2
local PATIENCE_SECONDS = 0.02
local FEWEST_LOOKS, MOST_LOOKS = 3, 30
local EVENTS_A_LOOK = 100
local slots = {}
local closed = {}
local notices = core.queue()

local function seconds_since(start)
  local now = core.now()
  return now.sec - start.sec + (now.usec - start.usec) / 1e6
end

local function notify(slot)
  if notices:size() < 1024 then notices:push(slot) end
end

-- The values are weak: a request whose client left is dropped by HAProxy without a word to Lua,
-- and then only its own coroutine held its entry.
local function waiters_of(slot)
  local held = slots[slot]
  if held == nil then
    held = { last = 0, waiters = setmetatable({}, { __mode = "v" }) }
    slots[slot] = held
  end
  return held
end

local function count(held)
  local number = 0
  for _ in pairs(held.waiters) do number = number + 1 end
  return number
end

local function is_waiting(held, place)
  local waiter = held.waiters[place]
  return waiter ~= nil and not waiter.resumed
end

-- A client's leaving that the kernel knows of takes a look by HAProxy at its connection and a look at
-- the one to the park; more when many leave. To sleep is to let HAProxy look.
local function forget_the_gone(held)
  collectgarbage()
  local left, quiet = count(held), 0
  local enough = FEWEST_LOOKS + left // EVENTS_A_LOOK
  for _ = 1, MOST_LOOKS do
    if left == 0 or quiet >= enough then return end
    core.msleep(1)
    collectgarbage()
    local still = count(held)
    quiet = still == left and quiet + 1 or 0
    left = still
  end
end

-- One after the other: HAProxy's threads would let them overtake each other.
local function release(held, word)
  forget_the_gone(held)
  for place = 1, held.last do
    if is_waiting(held, place) then
      held.waiters[place].queue:push(word)
      local start = core.now()
      while is_waiting(held, place) do
        core.yield()
        if seconds_since(start) > PATIENCE_SECONDS then
          collectgarbage()
          start = core.now()
        end
      end
      core.yield()
    end
  end
end

local function wake(slot)
  local held = slots[slot]
  if held == nil then return end
  slots[slot] = nil
  core.register_task(release, held, "go")
end

local function is_up(slot)
  local proxy = core.proxies[slot]
  return proxy ~= nil and proxy:get_srv_act() > 0
end

local function park(txn)
  local slot = txn.f:so_name()
  if is_up(slot) then
    txn:set_var("txn.released", "up")
    return
  end
  if closed[slot] then
    txn:set_var("txn.refused", "gone")
    return
  end
  local held = waiters_of(slot)
  if held.last >= max_held and count(held) >= max_held then
    txn:set_var("txn.refused", "full")
    return
  end
  held.last = held.last + 1
  local waiter = { queue = core.queue(), since = core.now() }
  held.waiters[held.last] = waiter
  notify(slot)
  local word = waiter.queue:pop_wait()
  waiter.resumed = true
  if word == "moved" then
    txn:set_var("txn.released", "moved")
    return
  end
  if word ~= "go" then
    txn:set_var("txn.refused", word)
    return
  end
  local seconds = seconds_since(waiter.since)
  txn:set_var("txn.cold", string.format("%.3f", seconds))
  txn:set_var("txn.held_since", string.format("%d.%06d", waiter.since.sec, waiter.since.usec))
  txn:set_var("txn.held_ms", math.floor(seconds * 1000 + 0.5))
  txn:set_var("txn.released", "up")
end

local function close(slot)
  closed[slot] = true
  local held = slots[slot]
  if held == nil then return end
  slots[slot] = nil
  for place = 1, held.last do
    if is_waiting(held, place) then held.waiters[place].queue:push("gone") end
  end
end

local function expire(held)
  for place = 1, held.last do
    local waiter = held.waiters[place]
    if waiter ~= nil and seconds_since(waiter.since) >= hold_seconds then
      held.waiters[place] = nil
      waiter.queue:push("late")
    end
  end
end

-- A server that leaves `drain` raises no event, so the janitor looks as well.
local function janitor()
  while true do
    core.msleep(TICK_MS)
    if next(slots) ~= nil then
      collectgarbage()
      for slot, held in pairs(slots) do
        expire(held)
        if is_up(slot) then
          wake(slot)
        elseif next(held.waiters) == nil then
          slots[slot] = nil
        end
      end
    end
  end
end

local function messenger()
  while true do
    local names = { [notices:pop_wait()] = true }
    while true do
      local more = notices:pop()
      if more == nil then break end
      names[more] = true
    end
    local lines = {}
    for name in pairs(names) do lines[#lines + 1] = name .. "\n" end
    local socket = core.tcp()
    socket:settimeout(1)
    if socket:connect(agent_path) then socket:send(table.concat(lines)) end
    socket:close()
    core.msleep(COALESCE_MS)
  end
end

core.register_action("park", { "http-req" }, park)
core.register_action("notify", { "http-req" }, function(txn) notify(txn.f:be_name()) end)
core.register_task(janitor)
core.register_task(messenger)
core.event_sub({ "SERVER_UP" }, function(_, server) wake(server.proxy_name) end)

core.register_cli({ "show", "park" }, "show park: the time, and requests held per slot", function(applet)
  collectgarbage()
  local now = core.now()
  local lines = { string.format("now %d.%06d\n", now.sec, now.usec) }
  for slot, held in pairs(slots) do lines[#lines + 1] = slot .. " " .. count(held) .. "\n" end
  applet:send(table.concat(lines))
end)

core.register_cli({ "close", "park" }, "close park <slot>: hold nothing there any more", function(applet, _, _, slot)
  if slot ~= nil then close(slot) end
  applet:send("")
end)

core.register_cli({ "open", "park" }, "open park <slot>|all: hold what finds no pod", function(applet, _, _, slot)
  if slot == "all" then closed = {} elseif slot ~= nil then closed[slot] = nil end
  applet:send("")
end)

core.register_cli({ "move", "park" }, "move park: send all on to the next HAProxy", function(applet)
  for slot, held in pairs(slots) do
    slots[slot] = nil
    core.register_task(release, held, "moved")
  end
  applet:send("")
end)

core.register_cli({ "wake", "park" }, "wake park <slot>: let the held ones go on", function(applet, _, _, slot)
  if slot ~= nil and is_up(slot) then wake(slot) end
  applet:send("")
end)
